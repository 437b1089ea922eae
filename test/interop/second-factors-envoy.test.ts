import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, expect, test } from '@jest/globals';

import { endEveryPostern, runPostern, startPostern } from '../support/run-postern.ts';
import { anyPorts } from '../support/service-environment.ts';
import { createTestDatabase } from '../support/test-database.ts';
import { oathtoolCode } from './authenticator-apps.ts';
import { challengeFor, startFreshFactorRoute } from './fresh-factor-route.ts';
import { runTool } from './run-tool.ts';
import { describeWith } from './tool.ts';
import { until } from './until.ts';

const email = 'admin@example.com';
const password = 'correct horse battery';
/** Long enough for a busy machine between the proof and the call, short enough to wait for its end. */
const MAX_AUTH_AGE_SECONDS = 4;

describeWith('envoy', 'second factors from the terminal to a route of Envoy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-envoy-factors-'));
  const cleanups: (() => unknown)[] = [];
  afterAll(async () => {
    for (const cleanUp of cleanups.reverse()) await cleanUp();
    await endEveryPostern();
    rmSync(folder, { recursive: true });
  });

  test('M69 enrol by command, log in with grpcurl, be refused for an old proof, step up, pass', async () => {
    const database = await createTestDatabase();
    cleanups.push(() => database.drop());
    const environment = {
      ...anyPorts,
      DATABASE_URL: database.url,
      POSTERN_MASTER_KEY: randomBytes(32).toString('base64'),
      POSTERN_REFLECTION: 'on',
      POSTERN_SECOND_FACTOR_ROLES: 'admin',
    };
    const { grpc, http } = await startPostern(['serve'], { environment }).listening;
    const postern = (words: string[], stdin = '') => runPostern(words, { environment, stdin });
    const call = async (method: string, request: object, token?: string): Promise<Record<string, string>> => {
      const bearer = token === undefined ? [] : ['-H', `authorization: Bearer ${token}`];
      const words = ['-plaintext', ...bearer, '-d', JSON.stringify(request), grpc];
      const { exitCode, stdout, stderr } = await runTool('grpcurl', [
        ...words,
        `postern.v1.AuthService/${method}`,
      ]);
      if (exitCode !== 0) throw new Error(stderr);
      return JSON.parse(stdout) as Record<string, string>;
    };

    const create = ['user', 'create', '--email', email, '--role', 'admin', '--password-stdin'];
    expect((await postern(create, password)).exitCode).toBe(0);
    // Without a second factor the login succeeds, and the role is missing.
    const first = await call('Login', { email, password });
    const { acr, roles } = await call('VerifyToken', { access_token: first['accessToken'] });
    expect([acr, roles]).toEqual(['aal1', undefined]);

    const enrolTotp = ['user', 'enrol-totp', '--email', email, '--json'];
    const enrolled = JSON.parse((await postern(enrolTotp)).stdout) as Record<'factor_id' | 'secret', string>;
    const { factor_id: factorId, secret } = enrolled;
    const confirm = [...enrolTotp, '--confirm', factorId];
    const confirmed = JSON.parse((await postern(confirm, await oathtoolCode(secret))).stdout) as object;
    const [recoveryCode] = (confirmed as { recovery_codes: string[] }).recovery_codes;
    await expect(call('Login', { email, password })).rejects.toThrow(/SECOND_FACTOR_REQUIRED/);
    const code = await oathtoolCode(secret, 1);
    const { accessToken = '' } = await call('Login', { email, password, code });
    const inspect = ['token', 'inspect', '-', '--jwks', `http://${http}/.well-known/jwks.json`, '--json'];
    const { stdout: inspected } = await postern(inspect, accessToken);
    expect((JSON.parse(inspected) as { claims: object }).claims).toMatchObject({
      ...{ acr: 'aal2', amr: ['pwd', 'otp'] },
      roles: ['admin'],
    });

    const portOf = (address: string) => Number(address.split(':').at(-1));
    const ports = { grpcPort: portOf(grpc), httpPort: portOf(http) };
    const rule = { role: 'admin', maxAuthAgeSeconds: MAX_AUTH_AGE_SECONDS };
    const route = await startFreshFactorRoute(folder, ports, rule);
    cleanups.push(() => route.stop());

    expect((await route.list(first['accessToken'] ?? '')).status).not.toBe(200);
    expect((await route.list(accessToken)).status).toBe(200);
    const refused = await until(async () => {
      const response = await route.cancel(accessToken);
      return response.status !== 200 && response;
    });
    expect([refused.status, refused.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringMatching(challengeFor(MAX_AUTH_AGE_SECONDS)),
    ]);
    expect(await refused.text()).toContain('STEP_UP_REQUIRED');
    // The role alone is still enough for the other route.
    expect((await route.list(accessToken)).status).toBe(200);

    const raised = await call('StepUp', { code: recoveryCode }, accessToken);
    const passed = await route.cancel(raised['accessToken'] ?? '');
    expect(passed.status).toBe(200);
    const { headers } = (await passed.json()) as { headers: [string, string][] };
    expect(new Map(headers).get('x-postern-acr')).toBe('aal2');
  }, 60_000);
});
