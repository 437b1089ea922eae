import { readdirSync, readFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { hashSync } from '@node-rs/argon2';
import { RefusalDelay } from '../../src/passwords/hashing/refusal-delay.ts';
import { PasswordHasher } from '../../src/passwords/password-hasher.ts';
import { waitingCaller } from './waiting-caller.ts';

let hasher: PasswordHasher;
beforeAll(async () => {
  hasher = await PasswordHasher.start({ concurrency: 2 });
});
afterAll(() => hasher.stop());

const matches = async (stored: string | null, password: string) =>
  (await hasher.verify(stored, password, waitingCaller())).matches;

describe('what matches', () => {
  test('the right password matches and no other', async () => {
    const stored = await hasher.hash('correct horse battery staple', waitingCaller());
    expect(await hasher.verify(stored, 'correct horse battery staple', waitingCaller())).toMatchObject({
      matches: true,
      needsRehash: false,
    });
    expect(await matches(stored, 'correct horse battery stapler')).toBe(false);
    expect(await matches(stored, 'Correct horse battery staple')).toBe(false);
    expect(await matches(stored, 'correct horse battery staple ')).toBe(false);
    expect(await matches(null, 'correct horse battery staple')).toBe(false);
  });

  test('L05 byte 73 and byte 1024 count', async () => {
    const seventyTwo = 'a'.repeat(72);
    const short = await hasher.hash(`${seventyTwo}b`, waitingCaller());
    expect(await matches(short, `${seventyTwo}b`)).toBe(true);
    expect(await matches(short, `${seventyTwo}c`)).toBe(false);
    expect(await matches(short, seventyTwo)).toBe(false);
    const long = await hasher.hash(`${'a'.repeat(1023)}b`, waitingCaller());
    expect(await matches(long, `${'a'.repeat(1023)}b`)).toBe(true);
    expect(await matches(long, `${'a'.repeat(1023)}c`)).toBe(false);
  });

  test('L06 the same text in another Unicode normalisation form matches, both ways', async () => {
    const composed = 'Zo\u00eb trinkt Caf\u00e9';
    const decomposed = composed.normalize('NFD');
    expect(decomposed).not.toBe(composed);
    expect(await matches(await hasher.hash(composed, waitingCaller()), decomposed)).toBe(true);
    expect(await matches(await hasher.hash(decomposed, waitingCaller()), composed)).toBe(true);
    // Compatibility forms stay different: only canonically equivalent texts are the same.
    expect(await matches(await hasher.hash('\ufb01sh', waitingCaller()), 'fish')).toBe(false);
  });

  test('L05 different lone surrogates do not collide', async () => {
    await expect(hasher.hash('\ud800', waitingCaller())).rejects.toThrow('well-formed');
    expect(await matches(await hasher.hash('\ufffd', waitingCaller()), '\ud800')).toBe(false);
  });

  test('L04 a weaker hash is checked and reported for rehashing', async () => {
    const weaker = hashSync('right', { memoryCost: 8192, timeCost: 2 });
    expect(await hasher.verify(weaker, 'right', waitingCaller())).toMatchObject({
      matches: true,
      needsRehash: true,
    });
  });

  test('damage is reported to the caller and is no match', async () => {
    const damages: string[] = [];
    const caller = waitingCaller({ onDamage: (damage) => damages.push(damage) });
    expect(await hasher.verify('$argon2id$v=19$m=1', 'x', caller)).toMatchObject({
      matches: false,
      needsRehash: false,
    });
    expect(await hasher.verify('x', 'x', caller)).toMatchObject({ matches: false, needsRehash: false });
    expect(await hasher.verify(null, 'x', caller)).toMatchObject({ matches: false, needsRehash: false });
    expect(damages).toEqual(['damaged', 'unknown-format']);
  });
});

describe('beside the rest of the process', () => {
  /** About ten times the work of a new hash, so that what is measured ends long before it. */
  const dear = hashSync('x', { memoryCost: 65_536, timeCost: 6 });

  test('file reads and digests do not queue behind hashes in the libuv pool', async () => {
    // As many as the pool has threads by default: if they used it, a read would take as long as a hash.
    const four = await PasswordHasher.start({ concurrency: 4 });
    const round = (stored: string | null) =>
      Promise.all([1, 2, 3, 4].map(() => four.verify(stored, 'wrong', waitingCaller())));
    await round(null);
    const startedMs = performance.now();
    let hashesMs: number | undefined;
    const hashes = round(dear).then(() => (hashesMs = performance.now() - startedMs));
    let maxMs = 0;
    while (hashesMs === undefined) {
      const askedMs = performance.now();
      await stat(new URL(import.meta.url));
      await crypto.subtle.digest('SHA-256', new Uint8Array(64));
      maxMs = Math.max(maxMs, performance.now() - askedMs);
    }
    await hashes;
    await four.stop();
    expect(maxMs / hashesMs).toBeLessThan(0.4);
  });

  test('on Linux the hashing threads, and no others, run at lowered priority', async () => {
    if (process.platform !== 'linux') return;
    const lowered = () =>
      readdirSync('/proc/self/task').filter((id) => {
        const stat = readFileSync(`/proc/self/task/${id}/stat`, 'utf8');
        // Field 19 of proc_pid_stat(5) is the nice value; what is before it ends with the last parenthesis.
        return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16] === '10';
      });
    // Both threads start only when two jobs run at once.
    await Promise.all([1, 2].map(() => hasher.verify(null, 'x', waitingCaller())));
    const before = lowered();
    expect(before).not.toContain(String(process.pid));
    const another = await PasswordHasher.start({ concurrency: 1 });
    const after = lowered();
    await another.stop();
    expect([before.length, after.length]).toEqual([2, 3]);
  });

  test('L14 after a flood of cancelled callers a login is answered within a second', async () => {
    const one = await PasswordHasher.start({ concurrency: 1 });
    const outcomes = new Map<string, number>();
    const flood = Array.from({ length: 500 }, () => {
      const caller = new AbortController();
      const outcome = one.verify(null, 'flood', waitingCaller({ signal: caller.signal })).then(
        () => 'answered',
        (error: unknown) => (error as { rejection: { kind: string } }).rejection.kind,
      );
      void outcome.then((kind) => outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1));
      return { caller, outcome };
    });
    expect(one.load).toMatchObject({ running: 1, queued: 64 });
    for (const { caller } of flood) caller.abort();
    expect(one.load).toMatchObject({ running: 1, queued: 0 });
    const askedMs = performance.now();
    await one.verify(null, 'login', waitingCaller({ deadlineMs: Date.now() + 1000 }));
    expect(performance.now() - askedMs).toBeLessThan(1000);
    await Promise.all(flood.map(({ outcome }) => outcome));
    expect(Object.fromEntries(outcomes)).toEqual({ 'server-overloaded': 435, cancelled: 64, answered: 1 });
    await one.stop();
  });

  test('stopping finishes running jobs and refuses waiting ones', async () => {
    const one = await PasswordHasher.start({ concurrency: 1 });
    const running = one.verify(dear, 'x', waitingCaller());
    const waiting = one.hash('x', waitingCaller());
    const refused = expect(waiting).rejects.toMatchObject({ rejection: { kind: 'shutting-down' } });
    await one.stop();
    await refused;
    expect(await running).toMatchObject({ matches: true });
    await one.stop();
  });
});

test('an invalid concurrency is refused', async () => {
  await expect(PasswordHasher.start({ concurrency: 0 })).rejects.toThrow(RangeError);
});

test('L02 L06 no refusal waits longer than two seconds, however slow the stored hashes are', () => {
  const delay = new RefusalDelay(() => Promise.reject(new Error('not measured')));
  delay.observe(`$2b$12$${'.'.repeat(53)}`, 60_000, 1);
  expect([delay.msFor(3), delay.maxForms]).toEqual([2_000, 1]);
});
