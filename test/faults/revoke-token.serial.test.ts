import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { ownOrigin } from '../../src/domain/operation-call.ts';
import { masterKeyOf } from '../../src/crypto/sealed-envelope.ts';
import { rotateSigningKey } from '../../src/features/signing-keys/rotate-signing-key.ts';
import { decode, encode } from '../security/forge.ts';
import { account, verdictOf } from '../support/account.ts';
import { until } from '../support/wait-for.ts';
import { TcpProxy } from '../support/tcp-proxy.mjs';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';
import { keyPolicy } from '../support/key-policy.ts';

const ann = { email: 'ann@example.com', password: 'correct horse battery' };
/** The reasons after which a caller has to retry. */
const retryReasons = ['TRUST_STALE', 'STORE_UNAVAILABLE', 'SERVER_OVERLOADED'];

let database: TestDatabase;
let near: TestService;
let proxy: TcpProxy;
let port: number;

beforeAll(async () => {
  database = await createTestDatabase();
  near = await startTestService({}, database);
  await near.addUser(ann.email, ann.password);
  const url = new URL(database.url);
  proxy = new TcpProxy(`${url.searchParams.get('host') ?? ''}/.s.PGSQL.${url.port}`);
  port = await proxy.open();
});
afterAll(async () => {
  await near.stop();
  await proxy.close();
  await database.drop();
});

/** Starts a second instance that reaches the same database through the proxy. */
function startFar(): Promise<TestService> {
  const { username, pathname } = new URL(database.url);
  return startTestService({ DATABASE_URL: `postgres://${username}@127.0.0.1:${port}${pathname}` }, database);
}

const kidOf = (token: string) => (JSON.parse(decode(token.split('.')[0] ?? '')) as { kid: string }).kid;

/** A well-formed token with an unknown key id. */
function withKeyId(token: string, kid: string): string {
  const [header = '', ...rest] = token.split('.');
  return [encode(JSON.stringify({ ...JSON.parse(decode(header)), kid })), ...rest].join('.');
}

/** Rotates the signing key and logs in, so that the token is signed with the new key. */
async function loginUnderNewKey(): Promise<string> {
  const master = [masterKeyOf(Buffer.from(masterKey, 'base64'))];
  const actor = { type: 'operator', id: null } as const;
  const { kid } = await rotateSigningKey(
    { database: database.database, policy: keyPolicy, masterKeys: master },
    {
      now: true,
      actor,
      origin: ownOrigin,
    },
  );
  let token = '';
  await until(async () => kidOf((token = await near.tokenOf(ann.email, ann.password))) === kid, 'it signs');
  return token;
}

const untilRefused = (token: string) =>
  until(async () => (await account.verdict(near, token)) === 'TOKEN_REVOKED', 'the token is refused', 2_000);

describe('S11 a token whose key was created a moment ago', () => {
  test.each([
    ['a database that takes 20 ms', 10, 10],
    ['a database that takes 400 ms', 200, 3],
  ])(
    'is revoked when RevokeToken returns OK, with %s',
    async (_name, delayMs, rounds) => {
      proxy.delayMs = 0;
      const far = await startFar();
      proxy.delayMs = delayMs;
      try {
        for (let round = 0; round < rounds; round += 1) {
          const token = await loginUnderNewKey();
          const first = await account.revoke(far, token);
          expect(['OK', ...retryReasons]).toContain(first);
          if (first !== 'OK') {
            await until(async () => (await account.revoke(far, token)) === 'OK', 'a retry is answered OK');
          }
          await untilRefused(token);
        }
      } finally {
        proxy.delayMs = 0;
        await far.stop();
      }
    },
    60_000,
  );
});

describe('S11 an instance that has not loaded its keys', () => {
  test('returns TRUST_STALE, and revokes the token once it has loaded them', async () => {
    const { access_token: token } = await account.login(near, ann.email, ann.password);
    await proxy.close();
    const far = await startFar();
    try {
      const askedMs = performance.now();
      const outcome = await far.call('postern.v1.AuthService/RevokeToken', { token });
      expect([outcome.code, verdictOf(outcome)]).toEqual([status.UNAVAILABLE, 'TRUST_STALE']);
      expect(performance.now() - askedMs).toBeLessThan(2_500);
      expect(await account.verdict(near, token)).toBe('OK');
      // Junk is no token under any key, so there is nothing to revoke.
      expect(await account.revoke(far, 'junk')).toBe('OK');

      const waiting = account.revoke(far, token);
      await proxy.open(port);
      expect(['OK', ...retryReasons]).toContain(await waiting);
      await until(async () => (await account.revoke(far, token)) === 'OK', 'a retry is answered OK');
      await untilRefused(token);
    } finally {
      await far.stop();
    }
  }, 30_000);
});

test('S11 tokens with a thousand unknown keys do not keep another token from being revoked', async () => {
  const [token, other] = [
    await near.tokenOf(ann.email, ann.password),
    await near.tokenOf(ann.email, ann.password),
  ];
  const flood = Array.from({ length: 1_000 }, (_, index) =>
    account.revoke(near, withKeyId(token, `none-${index}`)),
  );
  expect(await account.revoke(near, other)).toBe('OK');
  expect(await account.verdict(near, other)).toBe('TOKEN_REVOKED');
  expect(new Set(await Promise.all(flood))).toEqual(new Set(['OK']));
  expect(await account.verdict(near, token)).toBe('OK');
}, 30_000);
