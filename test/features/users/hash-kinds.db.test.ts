import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { testCall } from '../../support/test-call.ts';
import { argon2idHash } from '../../../src/passwords/hashing/argon2id.ts';
import { formats, readStoredHash } from '../../../src/passwords/formats/format-table.ts';
import { distinctHashKinds } from '../../../src/features/users/user-queries.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';

/** A kind of each format, in the order of the format table. */
const kinds = [
  '$argon2id$v=19$m=65536,t=3,p=4$',
  '$argon2i$v=19$m=512,t=2,p=2$',
  '$argon2d$v=19$m=512,t=2,p=2$',
  '$2b$12$',
  '$pbkdf2$131000$',
  '$pbkdf2-sha256$29000$',
  '$pbkdf2-sha512$25000$',
  'pbkdf2_sha1$1000$',
  'pbkdf2_sha256$600000$',
  'pbkdf2:sha1:1000$',
  'pbkdf2:sha256:600000$',
  'pbkdf2:sha512:1000$',
  '$scrypt$ln=16,r=8,p=1$',
  'scrypt$16384$$8$5$',
  'scrypt:32768:8:1$',
  '$firebase-scrypt$ln=14,r=8,p=1$',
  '$bcrypt-sha256$v=2,t=2b,r=12$',
  '$django-bcrypt-sha256$2b,12$',
  '$wp-bcrypt$2y,10$',
  '$wp-phpass$13$',
  '$phpass$11$',
  '$drupal-phpass$16$',
  '$5$rounds=535000$',
  '$6$',
  '$ssha$',
  '$ssha256$',
  '$ssha512$',
];

let fresh: TestDatabase;
beforeAll(async () => {
  fresh = await createTestDatabase();
});
afterAll(() => fresh.drop());

const kindsStored = () => fresh.database.run(testCall(), (db) => distinctHashKinds(db));
const store = (hash: string | null, count = 1) =>
  fresh.query(
    `INSERT INTO users (id, email, password_hash) SELECT gen_random_uuid(), gen_random_uuid()::text, $1
       FROM generate_series(1, $2::int)`,
    [hash, count],
  );

test('users with current hashes or none have no hash kind', async () => {
  await store(argon2idHash('x'), 3);
  await store(null, 3);
  expect(await kindsStored()).toEqual([]);
});

test('every format has a hash kind, from which an example hash can be completed', async () => {
  const hashes = formats.map((format, at) => format.exampleHash(kinds[at] ?? ''));
  for (const hash of hashes) {
    expect(typeof readStoredHash(hash)).toBe('object');
    await store(hash, 2);
  }
  expect((await kindsStored()).sort()).toEqual([...kinds].sort());
});

test('damaged hashes of any length can be stored without failures', async () => {
  for (const text of ['', '$', '$$', 'x'.repeat(10_000), '$y'.repeat(5_000), '$2b$10', 'a\n$b$c']) {
    await store(text);
  }
  const found = await kindsStored();
  expect(found).toEqual(expect.arrayContaining(kinds));
  expect(Math.max(...found.map((kind) => kind.length))).toBeLessThanOrEqual(100);
});

test('skips through the index, over any number of users', async () => {
  await store(formats[3]?.exampleHash('$2b$12$') ?? '', 30_000);
  await fresh.query('ANALYZE users');
  const [row] = await fresh.query(`
    EXPLAIN (FORMAT JSON) SELECT postern_hash_kind(password_hash) FROM users
    WHERE password_hash NOT LIKE '$argon2id$v=19$m=19456,t=2,p=1$%'
      AND postern_hash_kind(password_hash) > '$2b$11$' ORDER BY 1 LIMIT 1`);
  expect(JSON.stringify(row)).toContain('users_other_hash_kind');
  const read = await fresh.database.transaction(testCall(), async (trx) => {
    await distinctHashKinds(trx);
    const { rows } = await trx.raw<{ rows: { read: number }[] }>(
      `SELECT (seq_tup_read + idx_tup_fetch)::int AS read FROM pg_stat_xact_user_tables WHERE relname = 'users'`,
    );
    return rows[0]?.read;
  });
  expect(read).toBeLessThan(100);
});
