import { afterEach, expect, test } from '@jest/globals';
import { PasswordHasher } from '../../src/passwords/password-hasher.ts';
import { brokenWorkerUrl, recordingWorkerUrl } from './recording-worker.ts';
import { waitingCaller } from './waiting-caller.ts';

let hasher: PasswordHasher | undefined;
afterEach(() => hasher?.stop());

test.each(['crash: exit', 'crash: throw'])(
  'a thread that ends in the middle of a job (%s) loses that job only, and is replaced',
  async (password) => {
    hasher = await PasswordHasher.start({ concurrency: 1, workerUrl: recordingWorkerUrl });
    const lost = hasher.verify(null, password, waitingCaller());
    const next = hasher.hash('next', waitingCaller());
    await expect(lost).rejects.toThrow('a password hashing thread ended');
    expect(await next).toContain('$argon2id$');
    expect(hasher.load).toMatchObject({ running: 0, queued: 0 });
  },
);

test('a thread that cannot start fails the start instead of being restarted repeatedly', async () => {
  await expect(PasswordHasher.start({ concurrency: 1, workerUrl: brokenWorkerUrl })).rejects.toMatchObject({
    cause: { message: 'no such library' },
  });
});

test('L03 a new dummy hash is made at each start, with current parameters', async () => {
  const dummies: string[] = [];
  for (let start = 0; start < 2; start++) {
    hasher = await PasswordHasher.start({ concurrency: 1, workerUrl: recordingWorkerUrl });
    await hasher.verify(null, 'any', waitingCaller({ onDamage: (dummy) => dummies.push(dummy) }));
    await hasher.stop();
  }
  for (const dummy of dummies) {
    expect(dummy).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  }
  expect(new Set(dummies).size).toBe(2);
});
