import { describe, expect, test } from '@jest/globals';
import { hashSync } from '@node-rs/argon2';
import { argon2idHash } from '../../src/passwords/hashing/argon2id.ts';
import { PasswordHasher } from '../../src/passwords/password-hasher.ts';
import { RefusalDelay } from '../../src/passwords/hashing/refusal-delay.ts';
import { slowestOfEachFormat } from '../../src/passwords/hashing/slow-hash-kinds.ts';
import { byLengthWorkerUrl, timedWorkerUrl } from './recording-worker.ts';
import { waitingCaller } from './waiting-caller.ts';

const bcrypt12 = '$2b$12$';
const delayWith = (times: Record<string, number[]>) => {
  const asked: string[] = [];
  const delay = new RefusalDelay((stored) => {
    asked.push(stored);
    const next = Object.entries(times)
      .find(([kind]) => stored.startsWith(kind))?.[1]
      .shift();
    return next === undefined ? Promise.reject(new Error('no room')) : Promise.resolve(next);
  }, 2_000);
  return { delay, asked };
};

describe('which kinds are slow', () => {
  test('selects the most expensive of each format, with a readable example', () => {
    const kinds = [
      '$2b$10$',
      bcrypt12,
      '$2a$11$',
      'pbkdf2_sha256$600000$',
      'pbkdf2_sha256$260000$',
      'scrypt$16384$$8$5$',
    ];
    expect(slowestOfEachFormat(kinds).map(({ kind, format }) => [kind, format])).toEqual([
      [bcrypt12, 'bcrypt'],
      ['pbkdf2_sha256$600000$', 'pbkdf2_sha256'],
      ['scrypt$16384$$8$5$', 'django scrypt'],
    ]);
  });

  test('ignores quick, damaged, disallowed and unknown kinds', () => {
    const kinds = [
      '$2b$04$',
      '$argon2id$v=19$m=4096,t=1,p=1$',
      '',
      '$2b$',
      '$2b$31$',
      'md5$',
      'pbkdf2_sha256$0$',
      '$$$',
    ];
    expect(slowestOfEachFormat(kinds)).toEqual([]);
  });
});

describe('L02 the refusal delay', () => {
  test('is zero while no slower hash is stored', async () => {
    const { delay, asked } = delayWith({});
    await delay.expect(['$2b$04$']);
    delay.observe(argon2idHash('x'), 500, 1);
    delay.observe('junk', 500, 1);
    expect([delay.msFor(1), asked]).toEqual([0, []]);
  });

  test('is longer than a check of the slowest kind, which is measured once', async () => {
    const { delay, asked } = delayWith({ [bcrypt12]: [900, 240, 260, 250], pbkdf2: [100, 100, 100, 100] });
    await delay.expect([bcrypt12, 'pbkdf2_sha256$600000$']);
    await delay.expect([bcrypt12, 'pbkdf2_sha256$600000$']);
    expect(asked).toHaveLength(8);
    expect(delay.msFor(1)).toBe(240 * 1.25);
  });

  test('is a high estimate until a kind has been measured', async () => {
    const { delay } = delayWith({ [bcrypt12]: [] });
    await delay.expect([bcrypt12]);
    expect(delay.msFor(1)).toBeGreaterThan(300);
    const later = delayWith({ [bcrypt12]: [240, 240] });
    await later.delay.expect([bcrypt12]);
    expect(later.delay.msFor(1)).toBeGreaterThan(300);
  });

  test('follows real checks that take longer, except one outlier, and falls to zero with the last slow hash', async () => {
    const { delay } = delayWith({ [bcrypt12]: [240, 240, 240, 240] });
    const stored = `${bcrypt12}${'.'.repeat(53)}`;
    await delay.expect([bcrypt12]);
    for (let login = 0; login < 10; login++) delay.observe(stored, 400, 1);
    delay.observe(stored, 1500, 1);
    expect(delay.msFor(1)).toBe(400 * 1.25);
    await delay.expect([]);
    expect(delay.msFor(1)).toBe(0);
  });

  test('reacts to a slow hash that was not announced, and is at most two seconds', () => {
    const { delay } = delayWith({});
    delay.observe(`${bcrypt12}${'.'.repeat(53)}`, 60_000, 1);
    expect(delay.msFor(1)).toBe(2_000);
  });
});

describe('L02 L06 the refusal delay of a password with several Unicode forms', () => {
  test('covers as many comparisons with the slowest kind as the password has forms', async () => {
    const { delay } = delayWith({ [bcrypt12]: [240, 240, 240, 240] });
    await delay.expect([bcrypt12]);
    expect([1, 2, 3].map((forms) => delay.msFor(forms))).toEqual([300, 600, 900]);
    expect(delay.maxForms).toBe(3);
    for (let login = 0; login < 10; login++) delay.observe(`${bcrypt12}${'.'.repeat(53)}`, 900, 3);
    expect([1, 2, 3].map((forms) => delay.msFor(forms))).toEqual([375, 750, 1125]);
  });

  test('covers hashes that only several comparisons make slow', async () => {
    const half = '$argon2id$v=19$m=19456,t=1,p=1$';
    const { delay, asked } = delayWith({ [half]: [12, 12, 12, 12] });
    await delay.expect([half, '$2b$04$']);
    expect(asked).toHaveLength(4);
    expect([1, 2, 3].map((forms) => delay.msFor(forms))).toEqual([0, 30, 45]);
    expect(delay.maxForms).toBe(3);
    const unannounced = delayWith({}).delay;
    unannounced.observe(`${half}${'A'.repeat(22)}$${'A'.repeat(43)}`, 18, 3);
    expect(unannounced.msFor(3)).toBe(3 * 6 * 1.25);
  });

  test.each([
    [500, 3],
    [534, 2],
    [800, 2],
    [801, 1],
    [5_000, 1],
  ])(
    'with hashes of %d ms, %d forms are compared, so that the delay stays within two seconds',
    async (ms, forms) => {
      const measured = delayWith({ [bcrypt12]: [ms, ms, ms, ms] }).delay;
      await measured.expect([bcrypt12]);
      const observed = delayWith({}).delay;
      observed.observe(`${bcrypt12}${'.'.repeat(53)}`, ms, 1);
      expect([measured.maxForms, observed.maxForms]).toEqual([forms, forms]);
      if (forms > 1) expect(measured.msFor(forms)).toBeGreaterThanOrEqual(ms * forms * 1.25);
    },
  );

  test('a busy moment does not refuse a right password: the fastest comparison says how many forms there are', async () => {
    const busy = delayWith({ [bcrypt12]: [900, 900, 900, 900, 870, 240, 260, 250] });
    await busy.delay.expect([bcrypt12]);
    expect(busy.delay.maxForms).toBe(1);
    await busy.delay.expect([bcrypt12]);
    expect(busy.delay.maxForms).toBe(3);
    const stored = `${bcrypt12}${'.'.repeat(53)}`;
    for (const ms of [900, 2_700]) busy.delay.observe(stored, ms, 3);
    expect([busy.delay.maxForms, busy.delay.msFor(3)]).toEqual([3, 1_125]);
    await busy.delay.expect([bcrypt12]);
    expect(busy.asked).toHaveLength(8);
  });

  test('a kind that stays slow is measured sixteen times and no more', async () => {
    const { delay, asked } = delayWith({ [bcrypt12]: Array<number>(30).fill(900) });
    for (let minute = 0; minute < 10; minute++) await delay.expect([bcrypt12]);
    expect([asked.length, delay.maxForms]).toEqual([16, 1]);
  });

  test('all forms are compared while a kind of common cost is not measured yet', async () => {
    const { delay } = delayWith({});
    await delay.expect([bcrypt12]);
    expect(delay.maxForms).toBe(3);
    expect(delay.msFor(3)).toBe(2_000);
    await delay.expect(['$2b$14$']);
    expect(delay.maxForms).toBe(1);
  });

  test('does not depend on the account: unknown, passwordless, own and imported hashes report the same forms', async () => {
    const hasher = await PasswordHasher.start({ concurrency: 1 });
    const forms = async (password: string) => {
      const kinds = [null, 'junk', argon2idHash('x'), hashSync('x', { memoryCost: 64, timeCost: 1 })];
      const verdicts = await Promise.all(
        kinds.map((stored) => hasher.verify(stored, password, waitingCaller())),
      );
      return verdicts.map((verdict) => verdict.forms);
    };
    expect(await forms('correct horse')).toEqual([1, 1, 1, 1]);
    expect(await forms('cr\u00e8me de cassis')).toEqual([2, 2, 2, 2]);
    expect(await forms('cr\u00e8me \ufb01ne')).toEqual([3, 3, 3, 3]);
    await hasher.stop();
  });
});

describe('delaying a refusal', () => {
  test('L02 lasts until the slowest kind would have been checked, counted from the start of the check', async () => {
    const hasher = await PasswordHasher.start({ concurrency: 1, workerUrl: timedWorkerUrl(400) });
    const slow = hashSync('x', { memoryCost: 65_536, timeCost: 4 });
    const verdict = await hasher.verify(slow, 'wrong', waitingCaller());
    const whole = hasher.refusalDelayMs({ ...verdict, workMs: 0 });
    expect([verdict.workMs, whole]).toEqual([400, 500]);
    expect(hasher.refusalDelayMs({ ...verdict, workMs: 1 })).toBe(whole - 1);
    expect(hasher.refusalDelayMs({ ...verdict, workMs: whole + 1 })).toBe(0);
    await hasher.stop();
  });

  test('L02 covers the longest password that a stranger may send, since SHA-crypt and phpass read all of it each time', async () => {
    const hasher = await PasswordHasher.start({ concurrency: 1, workerUrl: byLengthWorkerUrl });
    await hasher.expectKinds(['$6$', '$wp-phpass$13$']);
    expect(hasher.refusalDelayMs({ matches: false, needsRehash: false, forms: 1, workMs: 0 })).toBe(
      1024 * 1.25,
    );
    await hasher.stop();
  });

  test('a kind that nobody stores costs nothing, a slow one is measured in the hashing thread', async () => {
    const hasher = await PasswordHasher.start({ concurrency: 1 });
    const verdict = { matches: false, needsRehash: false, workMs: 0, forms: 1 };
    await hasher.expectKinds(['$2b$04$']);
    expect(hasher.refusalDelayMs(verdict)).toBe(0);
    await hasher.expectKinds(['$argon2id$v=19$m=65536,t=4,p=1$']);
    expect(hasher.refusalDelayMs(verdict)).toBeGreaterThan(20);
    await hasher.stop();
  });
});
