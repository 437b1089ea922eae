import { hashSync } from '@node-rs/argon2';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { argon2idHash } from '../../src/passwords/hashing/argon2id.ts';
import { replacing } from '../support/replaced-modules.ts';
import { endEveryPostern, type PosternOptions, startPostern } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { auc } from './auc.ts';
import {
  addUsers,
  Attack,
  type Classes,
  type Connection,
  databaseWith,
  isInseparable,
  overGrpc,
  overHttp,
  separable,
  worstOf,
} from './login-attack.ts';
import { serviceEnvironment } from '../support/service-environment.ts';

const password = 'correct horse battery staple';
/** The classes of accounts behind an e-mail, all refused; each user is tried once, because of the throttle. */
const quickClasses = {
  unknown: null,
  wrong: { hash: argon2idHash(`${password}, not`), disabled: false },
  disabled: { hash: argon2idHash(password), disabled: true },
  passwordless: { hash: null, disabled: false },
} as const;
/** Costs 2 times a hash of ours: enough to be distinguished by time, little enough to be measured often. */
const slowHash = (text: string) => hashSync(text, { memoryCost: 38_912, timeCost: 2 });
const slowClasses = {
  unknown: null,
  slow: { hash: slowHash('another'), disabled: false },
  slowDisabled: { hash: slowHash(password), disabled: true },
} as const;
/** Has three forms: NFC as it is, NFD, and NFKC without the ligature. */
const accented = 'cr\u00e8me br\u00fbl\u00e9e, \ufb01ne';
const formClasses = {
  unknown: null,
  own: { hash: argon2idHash('another'), disabled: false },
  passwordless: { hash: null, disabled: false },
  // Quicker than a hash of ours when it is compared once, slower when it is compared three times.
  half: { hash: hashSync('another', { memoryCost: 19_456, timeCost: 1 }), disabled: false },
  slow: { hash: slowHash('another'), disabled: false },
  slowDisabledFirstForm: { hash: slowHash(accented), disabled: true },
  slowDisabledLastForm: { hash: slowHash(accented.normalize('NFKC')), disabled: true },
} as const;
let quick: TestDatabase;
let slow: TestDatabase;
let forms: TestDatabase;

beforeAll(async () => {
  quick = await databaseWith(quickClasses);
  slow = await databaseWith(slowClasses);
  forms = await databaseWith(formClasses);
});
afterAll(async () => {
  await endEveryPostern();
  await quick.drop();
  await slow.drop();
  await forms.drop();
});

async function attack(
  database: TestDatabase,
  classes: Classes,
  altered: Pick<PosternOptions, 'bin' | 'nodeOptions' | 'environment'> = {},
  typed = password,
  open: (listening: { grpc: string; http: string }) => Connection = overGrpc,
): Promise<Attack> {
  const postern = startPostern(['serve'], {
    ...altered,
    environment: {
      ...altered.environment,
      ...serviceEnvironment(database.url),
      POSTERN_HASH_CONCURRENCY: '1',
      POSTERN_LOG_LEVEL: 'fatal',
    },
  });
  const attacker = new Attack(open(await postern.listening), classes, typed);
  await attacker.warmUp();
  return attacker;
}

/** The measure for a build without one defence; noise makes it smaller, never larger for long. */
async function separationIn(
  altered: Parameters<typeof replacing>[0],
  database: TestDatabase,
  classes: Classes,
  typed = password,
): Promise<number> {
  return worstOf(await attack(database, classes, replacing(altered), typed));
}

describe('unknown, wrong password, disabled and without a password', () => {
  test('L01 L02 are refused byte-identically, and time does not distinguish them', async () => {
    await isInseparable(await attack(quick, quickClasses), 100);
  }, 180_000);

  test('L01 L02 the same over HTTP', async () => {
    const environment = { POSTERN_HTTP_RPC: 'auth' };
    await isInseparable(await attack(quick, quickClasses, { environment }, password, overHttp), 60);
  }, 180_000);

  test('L02 the same measure detects a missing dummy hash', async () => {
    const alteration = {
      'passwords/hashing/hash-worker-url.js': new URL('./no-dummy-worker-url.mjs', import.meta.url),
    };
    expect(await separationIn(alteration, quick, quickClasses)).toBeGreaterThan(separable);
  }, 180_000);
});

describe('on a table that had twenty users when the service began, and has 100,000 now', () => {
  const grownClasses = { unknown: null, wrong: quickClasses.wrong } as const;

  const addOthers = `INSERT INTO users (id, email) SELECT gen_random_uuid(), $1 || n || '@example.com' FROM generate_series(1, $2::int) AS n`;

  /** Measures on connections whose plans were made for a table of one page, which is read as a whole more quickly. */
  async function onGrownTable<T>(
    measure: (attacker: Attack) => Promise<T>,
    alteration = 'SELECT 1',
  ): Promise<T> {
    const database = await createTestDatabase();
    try {
      await database.query('ALTER TABLE users SET (autovacuum_enabled = off)');
      await database.query(alteration);
      await database.query(addOthers, ['early', 20]);
      await database.query('ANALYZE users');
      const attacker = await attack(database, grownClasses);
      await addUsers(database, grownClasses);
      for (let lot = 0; lot < 10; lot++) {
        await database.query(addOthers, [`late${lot}-`, 10_000]);
        await attacker.useConnection(lot);
      }
      return await measure(attacker);
    } finally {
      await endEveryPostern();
      await database.drop();
    }
  }

  test('L01 L02 time does not distinguish who has an account', async () => {
    await onGrownTable((attacker) => isInseparable(attacker, 100));
  }, 180_000);

  test('L02 the same measure detects a plan that reads the whole table', async () => {
    const measured = onGrownTable(
      (attacker) => worstOf(attacker),
      'ALTER FUNCTION postern_begin_login_1 RESET enable_seqscan',
    );
    expect(await measured).toBeGreaterThan(separable);
  }, 180_000);
});

describe('while some stored hashes are slower', () => {
  test('L01 L02 users with and without one are refused alike, and time does not distinguish them', async () => {
    await isInseparable(await attack(slow, slowClasses), 30);
  }, 180_000);

  test('L02 the same measure detects missing refusal delays', async () => {
    const alteration = {
      'passwords/hashing/refusal-delay.js': new URL('./no-refusal-delay.mjs', import.meta.url),
    };
    expect(await separationIn(alteration, slow, slowClasses)).toBeGreaterThan(separable);
  }, 180_000);
});

describe('while hashes of other programs are stored, and the password has several Unicode forms', () => {
  test('L01 L02 L06 no account can be distinguished from another or from none', async () => {
    await isInseparable(await attack(forms, formClasses, {}, accented), 40);
  }, 400_000);

  test('L02 L06 the same measure detects a refusal delay that covers one form only', async () => {
    const alteration = {
      'passwords/hashing/refusal-delay.js': new URL('./one-form-refusal-delay.mjs', import.meta.url),
    };
    expect(await separationIn(alteration, forms, formClasses, accented)).toBeGreaterThan(separable);
  }, 400_000);
});

test('the measure rates equal, overlapping and disjoint samples, in both directions', () => {
  expect([auc([1, 2, 3], [1, 2, 3]), auc([1, 2], [3, 4]), auc([3, 4], [1, 2]), auc([1, 3], [2, 4])]).toEqual([
    0.5, 1, 1, 0.75,
  ]);
});
