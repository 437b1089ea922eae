import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { masterKeyOf } from '../../../src/crypto/sealed-envelope.ts';
import { ownOrigin } from '../../../src/domain/operation-call.ts';
import { revokeSigningKey } from '../../../src/features/signing-keys/revoke-signing-key.ts';
import { rotateSigningKey } from '../../../src/features/signing-keys/rotate-signing-key.ts';
import { exitCodes } from '../../../src/cli/exit-codes.ts';
import { endEveryPostern, runPostern, startPostern } from '../../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { invoke, masterKey, startTestService } from '../../support/test-service.ts';
import { keyPolicy } from '../../support/key-policy.ts';
import { serviceEnvironment } from '../../support/service-environment.ts';

/** The promised limit, counted from when the revocation is stored. */
const LIMIT_MS = 2_000;
const ann = { email: 'ann@example.com', password: 'correct horse battery' };
const byOperator = { actor: { type: 'operator', id: null }, origin: ownOrigin } as const;
let database: TestDatabase;
let environment: Record<string, string>;
/** Two service processes on one database. */
let clients: readonly [grpc.Client, grpc.Client];

beforeAll(async () => {
  database = await createTestDatabase();
  environment = {
    ...serviceEnvironment(database.url),
  };
  const start = async () => {
    const { grpc: address } = await startPostern(['serve'], { environment }).listening;
    return new grpc.Client(address, grpc.credentials.createInsecure());
  };
  clients = await Promise.all([start(), start()]);
  const create = ['user', 'create', '--email', ann.email, '--password-stdin'];
  expect((await runPostern(create, { environment, stdin: ann.password })).exitCode).toBe(0);
});
afterAll(async () => {
  for (const client of clients) client.close();
  await endEveryPostern();
  await database.drop();
});

async function tokenFrom(client: grpc.Client): Promise<string> {
  const { response, message } = await invoke(client, 'postern.v1.AuthService/Login', ann);
  if (response === undefined) throw new Error(message);
  return String(response['access_token']);
}

/** `OK` or the reason. */
async function verdictOf(client: grpc.Client, token: string): Promise<string> {
  const { code, reason } = await invoke(client, 'postern.v1.AuthService/VerifyToken', {
    access_token: token,
  });
  return reason ?? grpc.status[code];
}

const kidOf = (token: string) =>
  (JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { kid: string }).kid;

test('K09 a kid that begins with a hyphen is not parsed as an option', async () => {
  for (const words of [
    ['-x'.padEnd(43, 'k')],
    ['-x'.padEnd(43, 'k'), '--json'],
    ['--json', '--'.padEnd(43, 'k')],
  ]) {
    const { exitCode, stderr } = await runPostern(['key', 'revoke', ...words], { environment });
    expect(exitCode).toBe(exitCodes.refused);
    expect(stderr).toContain('signing key');
  }
});

test('K09 a revoked kid is refused by every service process within 2 s', async () => {
  const stolen = await tokenFrom(clients[0]);
  // Both have seen it: the verified-token cache must not keep it alive.
  for (const client of clients) expect(await verdictOf(client, stolen)).toBe('OK');

  const revoke = await runPostern(['key', 'revoke', kidOf(stolen), '--json'], { environment });
  const revokedMs = performance.now();
  const { active } = JSON.parse(revoke.stdout) as { active: string };
  const delays = await Promise.all(
    clients.map(async (client) => {
      for (;;) {
        const verdict = await verdictOf(client, stolen);
        const passedMs = performance.now() - revokedMs;
        if (verdict === 'TOKEN_KEY_UNKNOWN') return passedMs;
        if (passedMs > 3 * LIMIT_MS) throw new Error(`still ${verdict} after ${passedMs} ms`);
      }
    }),
  );
  for (const delayMs of delays) expect(delayMs).toBeLessThanOrEqual(LIMIT_MS);

  // Each now signs with the replacement key, and accepts the other's tokens.
  for (const [signing, verifying] of [clients, [clients[1], clients[0]] as const]) {
    const fresh = await tokenFrom(signing);
    expect(kidOf(fresh)).toBe(active);
    expect(await verdictOf(verifying, fresh)).toBe('OK');
  }
}, 60_000);

test('K09 a running service picks up a rotation, and refuses tokens signed with a revoked key', async () => {
  const store = await createTestDatabase();
  const service = await startTestService({}, store);
  await service.addUser('ann@example.com', 'correct horse battery');
  const login = () => service.tokenOf('ann@example.com', 'correct horse battery');
  const verify = async (token: string) =>
    (await service.call('postern.v1.AuthService/VerifyToken', { access_token: token })).reason;
  const current = masterKeyOf(Buffer.from(masterKey, 'base64'));

  const old = await login();
  const { kid } = await rotateSigningKey(
    { database: store.database, policy: keyPolicy, masterKeys: [current] },
    { now: true, ...byOperator },
  );
  const deadline = Date.now() + 2_500;
  while (kidOf(await login()) !== kid) expect(Date.now()).toBeLessThan(deadline);
  expect(await verify(old)).toBeUndefined();

  const { active } = await revokeSigningKey(
    { database: store.database, policy: keyPolicy, masterKeys: [current] },
    {
      kid: kidOf(old),
      ...byOperator,
    },
  );
  expect(active).toBe(kid);
  const revokedBy = Date.now() + 2_500;
  while ((await verify(old)) !== 'TOKEN_KEY_UNKNOWN') expect(Date.now()).toBeLessThan(revokedBy);
  expect(await verify(await login())).toBeUndefined();
  await service.stop();
  await store.drop();
});
