import { createPrivateKey, type KeyObject } from 'node:crypto';
import { masterKeyOf } from '../../src/crypto/sealed-envelope.ts';
import { openSigningKey } from '../../src/features/signing-keys/seal-signing-key.ts';
import { listVerifyingKeys } from '../../src/features/signing-keys/signing-key-queries.ts';
import { createKeyRing } from '../../src/tokens/verify/key-ring.ts';
import { importSharedSecret } from '../../src/tokens/issue/shared-secret-key.ts';
import { TokenVerifier, type TokenVerifierOptions } from '../../src/tokens/verify/token-verifier.ts';
import { importVerificationKey } from '../../src/tokens/verify/verification-key.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';
import { secretKey, type TokenSetting, type TokenMode } from './forge.ts';
import { sharedSecret } from './verifier-under-test.ts';

/** The default settings of a service, as its verifier sees them. */
const policy = {
  issuer: 'http://127.0.0.1:8080',
  audiences: ['postern'],
  maxLifetimeSeconds: 600,
  skewSeconds: 5,
};

export interface ServiceUnderAttack {
  readonly service: TestService;
  /** With the signing key of the service: forgeries of an insider are signed like real tokens. */
  readonly setting: TokenSetting;
  /** A verifier in this process with the published keys of the service, as the reference for its answers. */
  readonly twin: TokenVerifier;
}

/** Starts a service that signs in `mode`, and reads its signing key from its database, as only tests may. */
export async function serviceUnderAttack(
  mode: TokenMode,
  environment: Record<string, string> = {},
  legacyHs256: TokenVerifierOptions['legacyHs256'] = null,
): Promise<ServiceUnderAttack> {
  const service = await startTestService({
    POSTERN_ALGORITHM: mode,
    POSTERN_HTTP_RPC: 'auth',
    ...(mode === 'HS256' && { POSTERN_SECRET: sharedSecret.reveal() }),
    ...environment,
  });
  await service.addUser('ann@example.com', 'correct horse battery', ['user']);
  const answer = await fetch(`${service.httpUrl}/.well-known/jwks.json`);
  const jwks = (await answer.json()) as { keys: object[] };
  const setting = {
    mode,
    validToken: await service.tokenOf('ann@example.com', 'correct horse battery'),
    issuer: policy.issuer,
    audience: 'postern',
    maxLifetimeSeconds: policy.maxLifetimeSeconds,
    nowSeconds: Math.floor(Date.now() / 1000),
    jwks,
    signingKey: mode === 'HS256' ? secretKey(sharedSecret.utf8()) : await activeKey(service),
  };
  const ring = createKeyRing(await Promise.all(jwks.keys.map((key) => importVerificationKey(key))));
  const twin = new TokenVerifier({
    trust: { keys: () => ring, isRevoked: () => false },
    policy: () => policy,
    sharedSecret: mode === 'HS256' ? importSharedSecret(sharedSecret) : null,
    legacyHs256,
    nowMs: Date.now,
  });
  return { service, setting, twin };
}

/** The private key that signs. */
export async function activeKey({ database }: TestService): Promise<KeyObject> {
  const keys = await database.database.unlimited((trx) => listVerifyingKeys(trx));
  const active = keys.find(({ state }) => state === 'active');
  if (active === undefined) throw new Error('no key is active');
  const key = openSigningKey(active, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  return createPrivateKey({ key, format: 'der', type: 'pkcs8' });
}
