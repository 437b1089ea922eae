import { expect, test } from '@jest/globals';

import {
  activationTime,
  dueSteps,
  type KeyStage,
  removalTime,
} from '../../../src/features/signing-keys/key-lifecycle.ts';

const policy = {
  algorithm: 'ES256',
  rotationSeconds: 1_000,
  jwksMaxAgeSeconds: 100,
  accessTokenTtlSeconds: 60,
};
const now = 10_000_000;
const key = (change: Partial<KeyStage>): KeyStage => ({
  kid: 'a',
  algorithm: 'ES256',
  state: 'active',
  activateAtMs: now,
  activatedAtMs: now,
  removeAtMs: null,
  ...change,
});

test('K03 a new key is published for the max-age before it signs, a retired one outlives its last token', () => {
  expect(activationTime(policy, now) - now).toBeGreaterThanOrEqual(100_000);
  expect(removalTime(policy, now) - now).toBeGreaterThanOrEqual(60_000 + 2 * 5_000);
});

test('nothing is due for a young key', () => {
  expect(dueSteps([key({})], policy, now + 1_000)).toEqual([]);
});

test('a key is prepared in time to sign when the active one is old enough', () => {
  const steps = dueSteps([key({})], policy, now + 950_000);
  expect(steps).toEqual([{ kind: 'prepare', activateAtMs: activationTime(policy, now + 950_000) }]);
});

test('another algorithm is prepared at once, and only once', () => {
  expect(dueSteps([key({ algorithm: 'RS256' })], policy, now)).toHaveLength(1);
  const pending = key({ kid: 'b', state: 'pending', activateAtMs: now + 1, activatedAtMs: null });
  expect(dueSteps([key({ algorithm: 'RS256' }), pending], policy, now)).toEqual([]);
});

test('a pending key is activated at its time', () => {
  const pending = key({ kid: 'b', state: 'pending', activateAtMs: now, activatedAtMs: null });
  expect(dueSteps([key({}), pending], policy, now)).toEqual([
    { kind: 'activate', kid: 'b', retire: 'a', removeAtMs: removalTime(policy, now) },
  ]);
});

test('a retired key is removed after its time, not before', () => {
  const retired = key({ kid: 'b', state: 'retired', removeAtMs: now + 5 });
  expect(dueSteps([key({}), retired], policy, now + 4)).toEqual([]);
  expect(dueSteps([key({}), retired], policy, now + 5)).toEqual([{ kind: 'remove', kid: 'b' }]);
});
