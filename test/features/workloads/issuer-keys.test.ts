import { describe, expect, test } from '@jest/globals';

import type { FetchedKeys } from '../../../src/features/workloads/fetch-issuer-keys.ts';
import { IssuerKeysFault } from '../../../src/features/workloads/fetch-issuer-keys.ts';
import type { IssuerKeySource } from '../../../src/features/workloads/trusted-issuer.ts';
import { IssuerKeys } from '../../../src/features/workloads/issuer-keys.ts';
import { importOutsideKey, type OutsideKey } from '../../../src/tokens/verify/outside-key.ts';
import { makeIssuerKey } from '../../support/outside-issuer.ts';

const [one, two] = ['one', 'two'].map((kid) => importOutsideKey(makeIssuerKey(kid, 'ES256').jwk)) as [OutsideKey, OutsideKey]; // prettier-ignore
const source: IssuerKeySource = {
  from: 'url',
  jwksUrl: 'https://i.example',
  staticJwks: '',
  caPem: '',
  bearerFile: '',
};
const issuer = { id: 'a', issuer: 'https://i.example', keys: source };
const MINUTE = 60_000;

/** Keys that the test serves, a clock that it sets, and requests that it lets end. */
function fixture() {
  const state = {
    nowMs: 0,
    requests: 0,
    keys: [one] as readonly OutsideKey[],
    fails: false,
    maxAgeMs: 10 * MINUTE,
  };
  const waiting: (() => void)[] = [];
  let isHeld = false;
  const faults: string[] = [];
  const keys = new IssuerKeys({
    async fetch(): Promise<FetchedKeys> {
      state.requests += 1;
      if (isHeld) await new Promise<void>((resolve) => waiting.push(resolve));
      if (state.fails) throw new IssuerKeysFault('it is down');
      return { keys: state.keys, maxAgeMs: state.maxAgeMs };
    },
    nowMs: () => state.nowMs,
    maxWaitMs: 20,
    onFault: (_issuer, fault) => faults.push(fault),
  });
  const find = (kid: string, of = issuer) =>
    keys.find(of, (found) => found.find((key) => key.kid === kid) ?? null);
  const hold = (held: boolean) => {
    isHeld = held;
    if (!held) for (const release of waiting.splice(0)) release();
  };
  /** Lets the request that a call left behind end. */
  const refreshed = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  return { state, faults, find, hold, refreshed };
}

describe('W06 keys of an issuer', () => {
  test('concurrent calls share the first request, and later ones need none', async () => {
    const { state, find, hold } = fixture();
    hold(true);
    const calls = Array.from({ length: 20 }, () => find('one'));
    hold(false);
    expect(await Promise.all(calls)).toEqual(Array(20).fill(one));
    state.nowMs = 9 * MINUTE;
    expect(await find('one')).toBe(one);
    expect(state.requests).toBe(1);
  });

  test('a set is kept for 5 minutes even when its server allows less', async () => {
    const { state, find } = fixture();
    state.maxAgeMs = 0;
    await find('one');
    state.nowMs = 4 * MINUTE;
    await find('one');
    expect(state.requests).toBe(1);
  });

  test('a set that is overdue is fetched beside the call, and long after it before', async () => {
    const { state, find, hold, refreshed } = fixture();
    await find('one');
    state.nowMs = 11 * MINUTE;
    hold(true);
    expect(await find('one')).toBe(one);
    expect(state.requests).toBe(2);
    hold(false);
    await refreshed();
    state.nowMs = 60 * MINUTE;
    state.keys = [two];
    expect(await find('one')).toBeNull();
    expect(state.requests).toBe(3);
  });

  test('an unknown kid is asked for once in 10 seconds', async () => {
    const { state, find } = fixture();
    await find('one');
    for (let second = 1; second <= 9; second++) {
      state.nowMs = second * 1_000;
      expect(await find('two')).toBeNull();
    }
    expect(state.requests).toBe(1);
    state.nowMs = 10_000;
    state.keys = [one, two];
    expect(await Promise.all([find('two'), find('two')])).toEqual([two, two]);
    state.nowMs = 19_000;
    for (let call = 0; call < 50; call++) await find(`invented-${call}`);
    expect(state.requests).toBe(2);
  });

  test('while the server fails, the last set serves for a day, and no call of it waits twice in 10 seconds', async () => {
    const { state, faults, find } = fixture();
    await find('one');
    state.fails = true;
    state.nowMs = 23 * 60 * MINUTE;
    expect(await Promise.all([find('one'), find('one')])).toEqual([one, one]);
    expect([state.requests, faults]).toEqual([2, ['it is down']]);
    state.nowMs = 24 * 60 * MINUTE;
    await expect(find('one')).rejects.toMatchObject({ rejection: { kind: 'issuer-keys-unavailable', cause: 'it is down' } }); // prettier-ignore
    await expect(find('one')).rejects.toThrow();
    expect(state.requests).toBe(3);
    state.fails = false;
    state.nowMs += 10_000;
    expect(await find('one')).toBe(one);
  });

  test('no call waits long for a slow server: it is refused, and the request goes on beside', async () => {
    const { state, find, hold, refreshed } = fixture();
    hold(true);
    const refusal = {
      rejection: { kind: 'issuer-keys-unavailable', cause: 'the server has not answered yet' },
    };
    await Promise.all(Array.from({ length: 20 }, () => expect(find('one')).rejects.toMatchObject(refusal)));
    expect(state.requests).toBe(1);
    hold(false);
    await refreshed();
    expect(await find('one')).toBe(one);
    state.nowMs = 60 * MINUTE;
    hold(true);
    expect(await find('one')).toBe(one);
    expect(await find('two')).toBeNull();
    expect(state.requests).toBe(2);
    hold(false);
  });

  test('a failing server is asked once in 10 seconds from the start', async () => {
    const { state, find } = fixture();
    state.fails = true;
    for (let call = 0; call < 20; call++) await expect(find('one')).rejects.toThrow();
    expect(state.requests).toBe(1);
  });

  test('another source of keys takes effect with the next call; issuers have sets of their own', async () => {
    const { state, find } = fixture();
    await find('one');
    state.keys = [two];
    expect(await find('two', { ...issuer, keys: { ...source, jwksUrl: 'https://new.example' } })).toBe(two);
    expect(await find('one', { ...issuer, id: 'b' })).toBeNull();
  });

  test('a stored set is not fetched; one that something else has damaged gives no key', async () => {
    const { state, find } = fixture();
    const { jwk } = makeIssuerKey('static', 'ES256');
    const stored = (staticJwks: string) => ({
      ...issuer,
      keys: { ...source, from: 'static', staticJwks } as const,
    });
    const set = stored(JSON.stringify({ keys: [jwk] }));
    expect((await find('static', set))?.kid).toBe('static');
    expect(await find('other', set)).toBeNull();
    await expect(find('x', stored('{}'))).rejects.toThrow();
    expect(state.requests).toBe(0);
  });
});
