import { randomBytes } from 'node:crypto';

import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { ownOrigin } from '../../../src/domain/operation-call.ts';
import { masterKeyOf, sealedBy } from '../../../src/crypto/sealed-envelope.ts';
import { advanceSigningKeys } from '../../../src/features/signing-keys/advance-signing-keys.ts';
import { StoredKeyChecker } from '../../../src/features/signing-keys/check-stored-keys.ts';
import { ensureSigningKey } from '../../../src/features/signing-keys/ensure-signing-key.ts';
import { revokeSigningKey } from '../../../src/features/signing-keys/revoke-signing-key.ts';
import { rewrapSigningKeys } from '../../../src/features/signing-keys/rewrap-signing-keys.ts';
import { rotateSigningKey } from '../../../src/features/signing-keys/rotate-signing-key.ts';
import { Database } from '../../../src/database/database.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { keyPolicy } from '../../support/key-policy.ts';

const byOperator = { actor: { type: 'operator', id: null }, origin: ownOrigin } as const;
const key = masterKeyOf(randomBytes(32));
let store: TestDatabase;
beforeEach(async () => {
  store = await createTestDatabase();
});
afterEach(() => store.drop());

const states = async () =>
  (await store.query('SELECT state FROM signing_keys ORDER BY state')).map(({ state }) => state);

test('K04 twenty concurrent rotations from two pools leave one active and one pending key', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [key] });
  const other = new Database({
    address: { url: store.url },
    applicationName: 'test',
    maxConnections: 5,
    warn: () => undefined,
  });
  const results = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      rotateSigningKey(
        { database: index % 2 ? other : store.database, policy: keyPolicy, masterKeys: [key] },
        { now: false, ...byOperator },
      ),
    ),
  );
  await other.close();
  expect(new Set(results.map(({ kid }) => kid)).size).toBe(1);
  expect(await states()).toEqual(['active', 'pending']);
});

test('K03 a pending key is activated by the database clock', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [key] });
  await rotateSigningKey(
    { database: store.database, policy: keyPolicy, masterKeys: [key] },
    { now: false, ...byOperator },
  );
  expect(
    await advanceSigningKeys({
      database: store.database,
      policy: keyPolicy,
      checker: new StoredKeyChecker([key]),
    }),
  ).toEqual([]);
  await store.query(`UPDATE signing_keys SET activate_at = now() WHERE state = 'pending'`);
  expect(
    (
      await advanceSigningKeys({
        database: store.database,
        policy: keyPolicy,
        checker: new StoredKeyChecker([key]),
      })
    ).map(({ kind }) => kind),
  ).toEqual(['activate']);
  expect(await states()).toEqual(['active', 'retired']);
  await store.query(`UPDATE signing_keys SET remove_at = now() WHERE state = 'retired'`);
  await advanceSigningKeys({
    database: store.database,
    policy: keyPolicy,
    checker: new StoredKeyChecker([key]),
  });
  expect(await states()).toEqual(['active']);
});

test('K08 rewrap moves every key, and the root key, to the new master key, and does nothing the second time', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [key] });
  await rotateSigningKey(
    { database: store.database, policy: keyPolicy, masterKeys: [key] },
    { now: true, ...byOperator },
  );
  const next = masterKeyOf(randomBytes(32));
  expect(await rewrapSigningKeys({ database: store.database, masterKeys: [next, key] })).toEqual({
    rewrapped: 3,
    already: 0,
  });
  expect(await rewrapSigningKeys({ database: store.database, masterKeys: [next] })).toEqual({
    rewrapped: 0,
    already: 3,
  });
  const rows = await store.query('SELECT sealed_private_key AS sealed FROM signing_keys');
  expect(rows.map(({ sealed }) => sealedBy(sealed as Buffer))).toEqual([next.id, next.id]);
  await expect(rewrapSigningKeys({ database: store.database, masterKeys: [key] })).rejects.toThrow(
    'another master key',
  );
});

test('revoking the only key leaves a new one that signs', async () => {
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [key] });
  const [row] = await store.query('SELECT kid FROM signing_keys');
  await revokeSigningKey(
    { database: store.database, policy: keyPolicy, masterKeys: [key] },
    { kid: String(row?.['kid']), ...byOperator },
  );
  expect(await states()).toEqual(['active', 'revoked']);
  const [revoked] = await store.query(`SELECT sealed_private_key FROM signing_keys WHERE state = 'revoked'`);
  expect(revoked).toEqual({ sealed_private_key: null });
  await expect(
    revokeSigningKey(
      { database: store.database, policy: keyPolicy, masterKeys: [key] },
      { kid: 'nothing', ...byOperator },
    ),
  ).rejects.toThrow('not-found');
});
