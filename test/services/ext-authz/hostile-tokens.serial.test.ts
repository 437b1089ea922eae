import { createSecretKey } from 'node:crypto';

import { status } from '@grpc/grpc-js';
import { afterAll, expect, test } from '@jest/globals';

import type { TokenSetting } from '../../security/forge.ts';
import { validTokens } from '../../security/valid-tokens.ts';
import { hostileTokens } from '../../security/hostile-tokens.ts';
import { inBatches } from '../../security/in-batches.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';
import { checkOfToken, saysTheSame } from './check.ts';

const secret = 'b9b1a1e0d6c84f3b9c5a2f7e8d41c6035f7a9e2b1c8d4f60a3e5b7d9f1c2e4a6';
const password = 'correct horse battery';
const services: TestService[] = [];
afterAll(() => Promise.all(services.map((service) => service.stop())));

/** With the shared secret the test signs hostile claims validly; with ES256 it is an outsider. */
const modes = [
  { mode: 'HS256', environment: { POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: secret } },
  { mode: 'ES256', environment: { POSTERN_ALGORITHM: 'ES256' } },
] as const;

test.each(modes)(
  'E04 Check and VerifyToken give every token the same verdict: $mode',
  async ({ mode, environment }) => {
    const service = await startTestService(environment);
    services.push(service);
    await service.addUser('ann@example.com', password);
    const setting: TokenSetting = {
      mode,
      validToken: await service.tokenOf('ann@example.com', password),
      issuer: 'http://127.0.0.1:8080',
      audience: 'postern',
      maxLifetimeSeconds: 600,
      nowSeconds: Math.floor(Date.now() / 1000),
      jwks: (await (await fetch(`${service.httpUrl}/.well-known/jwks.json`)).json()) as TokenSetting['jwks'],
      signingKey: mode === 'HS256' ? createSecretKey(Buffer.from(secret)) : null,
    };

    /** The reason of the refusal, or ''. A refusal by gRPC itself is a reason of its own. */
    const fromVerifyToken = async (token: string) => {
      const { code, reason } = await service.call('postern.v1.AuthService/VerifyToken', {
        access_token: token,
      });
      return code === status.OK ? '' : (reason ?? status[code]);
    };
    const differing: string[] = [];
    const compare = async (name: string, token: string) => {
      const [verified, checked] = await Promise.all([fromVerifyToken(token), checkOfToken(service, token)]);
      if (!saysTheSame(token, checked, verified))
        differing.push(`${name}: VerifyToken ${verified}, Check ${checked}`);
      return verified;
    };

    const verdicts = await inBatches(hostileTokens(setting), async ({ name, token }) => ({
      name,
      verdict: await compare(name, token),
    }));
    expect(verdicts.filter(({ verdict }) => verdict === '')).toEqual([]);
    expect(verdicts.length).toBeGreaterThan(300);
    for (const { name, token } of validTokens(setting)) {
      expect([name, await compare(name, token)]).toEqual([name, '']);
      // Once more, from the cache.
      await compare(`${name}, again`, token);
    }
    expect(differing).toEqual([]);
  },
  60_000,
);
