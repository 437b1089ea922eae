import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';

import { startTestService, type TestService } from '../../support/test-service.ts';

const MAX_AGE_MS = 1_000;
let service: TestService;

beforeAll(async () => {
  service = await startTestService({
    POSTERN_JWKS_MAX_AGE: '1s',
    POSTERN_KEY_ROTATION: '4s',
    POSTERN_ACCESS_TOKEN_TTL: '2s',
  });
  await service.addUser('ann@example.com', 'correct horse battery');
});
afterAll(() => service.stop());

/** A remote verifier that caches the key set for exactly its max-age. */
function cachingVerifier(url: string) {
  let fetchedAtMs = -Infinity;
  let keys = createLocalJWKSet({ keys: [] });
  return async (token: string) => {
    if (performance.now() - fetchedAtMs >= MAX_AGE_MS) {
      const response = await fetch(url);
      expect(response.headers.get('cache-control')).toBe('public, max-age=1');
      fetchedAtMs = performance.now();
      keys = createLocalJWKSet((await response.json()) as JSONWebKeySet);
    }
    const { protectedHeader } = await jwtVerify(token, keys, { clockTolerance: 5 });
    return protectedHeader.kid;
  };
}

test('K03 no token is refused while keys rotate at the highest permitted rate', async () => {
  const verify = cachingVerifier(`${service.httpUrl}/.well-known/jwks.json`);
  const kids = new Set<string | undefined>();
  const deadline = Date.now() + 15_000;
  for (let rounds = 0; kids.size < 3; rounds += 1) {
    if (Date.now() > deadline) throw new Error(`only ${kids.size} keys signed in ${rounds} rounds`);
    const token = await service.tokenOf('ann@example.com', 'correct horse battery');
    kids.add(await verify(token));
    const verdict = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
    expect(verdict.reason).toBeUndefined();
  }
}, 60_000);
