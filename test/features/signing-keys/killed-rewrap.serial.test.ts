import { randomBytes } from 'node:crypto';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { type MasterKey, masterKeyOf, sealedBy } from '../../../src/crypto/sealed-envelope.ts';
import { newSealedKey } from '../../../src/features/signing-keys/advance-signing-keys.ts';
import { ensureSigningKey } from '../../../src/features/signing-keys/ensure-signing-key.ts';
import { openSigningKey } from '../../../src/features/signing-keys/seal-signing-key.ts';
import {
  insertPendingKey,
  listVerifyingKeys,
  retireKey,
} from '../../../src/features/signing-keys/signing-key-queries.ts';
import { endEveryPostern, runPostern, startPostern } from '../../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

const ROUNDS = 8;
const KEYS = 300;
let store: TestDatabase;
/** The master key that seals every row when a round begins, in base64. */
let sealing = randomBytes(32).toString('base64');

const masterKey = (base64: string): MasterKey => masterKeyOf(Buffer.from(base64, 'base64'));
const stored = () => store.database.unlimited((trx) => listVerifyingKeys(trx));

/** Enough keys that a rewrap takes a while. */
beforeAll(async () => {
  store = await createTestDatabase();
  await ensureSigningKey({ database: store.database, algorithm: 'ES256', masterKeys: [masterKey(sealing)] });
  await store.database.unlimited(async (trx) => {
    for (let made = 1; made < KEYS; made += 1) {
      const key = await newSealedKey(trx, 'ES256', [masterKey(sealing)]);
      await insertPendingKey(trx, key, Date.now());
      await retireKey(trx, key.kid, Date.now() + 86_400_000);
    }
  });
});
afterAll(async () => {
  await endEveryPostern();
  await store.drop();
});

/** Resolves when the command holds the lock under which it changes the keys. */
async function atWork(): Promise<void> {
  const held = `SELECT 1 FROM pg_locks JOIN pg_database d ON d.oid = database
    WHERE locktype = 'advisory' AND granted AND d.datname = current_database()`;
  while ((await store.query(held)).length === 0);
}

test('K08 after a rewrap killed at any moment every key opens with one of the two master keys', async () => {
  let killedAtWork = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const next = randomBytes(32).toString('base64');
    const environment = {
      DATABASE_URL: store.url,
      POSTERN_MASTER_KEY: next,
      POSTERN_MASTER_KEY_PREVIOUS: sealing,
    };
    const command = startPostern(['key', 'rewrap'], { environment });
    await Promise.race([atWork(), command.end]);
    // The moment of the kill, later in each round.
    await new Promise((resolve) => setTimeout(resolve, round * 12));
    command.kill('SIGKILL');
    if ((await command.end).exitCode === null) killedAtWork += 1;

    const masterKeys = [masterKey(next), masterKey(sealing)];
    const keys = await stored();
    for (const key of keys) expect(openSigningKey(key, masterKeys).length).toBeGreaterThan(100);
    expect(keys).toHaveLength(KEYS);

    const again = await runPostern(['key', 'rewrap', '--json'], { environment });
    expect({ exitCode: again.exitCode, stderr: again.stderr }).toEqual({ exitCode: 0, stderr: '' });
    const { rewrapped, already } = JSON.parse(again.stdout) as { rewrapped: number; already: number };
    // The root key is checked too.
    expect(rewrapped + already).toBe(KEYS + 1);
    const sealers = new Set(
      (await stored()).map(({ sealedPrivateKey }) => sealedPrivateKey && sealedBy(sealedPrivateKey)),
    );
    expect([...sealers]).toEqual([masterKey(next).id]);
    sealing = next;
  }
  // Otherwise no rewrap was interrupted, and the rounds prove nothing.
  expect(killedAtWork).toBeGreaterThanOrEqual(3);
}, 60_000);
