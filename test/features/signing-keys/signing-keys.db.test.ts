import { randomBytes } from 'node:crypto';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { EnvelopeError, masterKeyOf } from '../../../src/crypto/sealed-envelope.ts';
import { ensureSigningKey } from '../../../src/features/signing-keys/ensure-signing-key.ts';
import { loadKeyRing } from '../../../src/features/signing-keys/load-key-ring.ts';
import { Database } from '../../../src/database/database.ts';
import { listVerifyingKeys } from '../../../src/features/signing-keys/signing-key-queries.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { masterKey, startTestService } from '../../support/test-service.ts';

let store: TestDatabase;
const key = masterKeyOf(randomBytes(32));
beforeEach(async () => {
  store = await createTestDatabase();
});
afterEach(() => store.drop());

const rows = () => store.query('SELECT * FROM signing_keys ORDER BY kid');
const stored = () => store.database.unlimited((trx) => listVerifyingKeys(trx));

test('K05 ten concurrent first starts make one key', async () => {
  const pools = Array.from(
    { length: 10 },
    () =>
      new Database({
        address: { url: store.url },
        applicationName: 'test',
        maxConnections: 1,
        warn: () => undefined,
      }),
  );
  await Promise.all(
    pools.map((pool) => ensureSigningKey({ database: pool, algorithm: 'ES256', masterKeys: [key] })),
  );
  await Promise.all(pools.map((pool) => pool.close()));
  expect(await rows()).toHaveLength(1);
});

test('K04 the database itself refuses a second active key', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [key] });
  await expect(
    store.query(
      `INSERT INTO signing_keys (kid, algorithm, state, public_jwk, activate_at) VALUES ('x', 'ES256', 'active', '{}', now())`,
    ),
  ).rejects.toThrow('signing_keys_one_active');
});

test('K06 the private key is sealed: the row has no member d and no PKCS #8', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [key] });
  const [row] = await rows();
  expect(Object.keys(row?.['public_jwk'] as object)).not.toContain('d');
  const sealed = row?.['sealed_private_key'] as Buffer;
  // The DER of a P-256 key names its curve by this object identifier.
  expect(sealed.includes(Buffer.from('06082a8648ce3d030107', 'hex'))).toBe(false);
});

test('K07 another master key is refused and nothing is written', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [key] });
  const before = await rows();
  const other = masterKeyOf(randomBytes(32));
  await expect(
    ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [other] }),
  ).rejects.toThrow(EnvelopeError);
  expect(await rows()).toEqual(before);
  await expect(
    ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [other, key] }),
  ).resolves.toBeUndefined();
});

test('K06 an altered envelope, or one moved to another row, does not open', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [key] });
  await store.query(
    `UPDATE signing_keys SET sealed_private_key = set_byte(sealed_private_key, 40, 1 + get_byte(sealed_private_key, 40) % 255)`,
  );
  await expect(
    ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [key] }),
  ).rejects.toThrow('altered');
  await store.query(
    `UPDATE signing_keys SET sealed_private_key = set_byte(sealed_private_key, 40, 0), algorithm = 'EdDSA'`,
  );
  await expect(loadKeyRing(await stored(), [key])).rejects.toThrow('altered or moved');
});

test('K07 a service with another master key does not start', async () => {
  const service = await startTestService({}, store);
  await service.stop();
  const other = randomBytes(32).toString('base64');
  await expect(startTestService({ POSTERN_MASTER_KEY: other }, store)).rejects.toThrow('another master key');
  const again = await startTestService(
    { POSTERN_MASTER_KEY: other, POSTERN_MASTER_KEY_PREVIOUS: masterKey },
    store,
  );
  await again.stop();
  expect(await rows()).toHaveLength(1);
});

test.each(['RS256', 'EdDSA'] as const)('%s signs tokens when it is configured', async (algorithm) => {
  const service = await startTestService({ POSTERN_ALGORITHM: algorithm }, store);
  await service.addUser('ann@example.com', 'correct horse battery');
  const token = await service.tokenOf('ann@example.com', 'correct horse battery');
  const header = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as {
    alg: string;
  };
  const { response } = await service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  await service.stop();
  expect([header.alg, response?.['subject_type']]).toEqual([algorithm, 'USER']);
});
