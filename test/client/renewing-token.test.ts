import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import { PosternError } from '../../src/client/postern-error.ts';
import { type Renewal, RenewingToken } from '../../src/client/renewing-token.ts';

let nowMs: number;
/** How each request for a token ends. */
let requests: { resolve: (renewal: Renewal<string>) => void; reject: (error: unknown) => void }[];
let token: RenewingToken<string>;

beforeEach(() => {
  nowMs = 0;
  requests = [];
  jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
  token = new RenewingToken(
    () => new Promise((resolve, reject) => void requests.push({ resolve, reject })),
    () => 0.8,
    { value: 'first', lifetimeMs: 100_000 },
  );
});
afterEach(() => void jest.restoreAllMocks());

const unanswered = () => new PosternError('no answer', { code: status.DEADLINE_EXCEEDED, reason: null });
/** Lets promises settle. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** The token, or `waits` if it has none at once. */
const tokenNow = () => Promise.race([token.current(), settle().then(() => 'waits')]);

describe('a token that is due for renewal', () => {
  beforeEach(() => void (nowMs = 80_000));

  test('V32 is returned at once while a service that hangs is asked for the next one, once', async () => {
    expect(await Promise.all([tokenNow(), tokenNow()])).toEqual(['first', 'first']);
    nowMs = 99_999;
    expect(await tokenNow()).toBe('first');
    expect(requests).toHaveLength(1);
    requests[0]?.resolve({ value: 'second', lifetimeMs: 100_000 });
    await settle();
    expect(await tokenNow()).toBe('second');
    // Its lifetime counts from the request.
    nowMs = 179_999;
    expect(await tokenNow()).toBe('second');
    expect(requests).toHaveLength(2);
  });

  test('is waited for when it has expired', async () => {
    expect(await tokenNow()).toBe('first');
    nowMs = 100_000;
    expect(await tokenNow()).toBe('waits');
    const waiting = token.current();
    requests[0]?.resolve({ value: 'second', lifetimeMs: 100_000 });
    expect(await waiting).toBe('second');
    expect(requests).toHaveLength(1);
  });

  test('is renewed again after a pause when the service did not answer', async () => {
    expect(await tokenNow()).toBe('first');
    requests[0]?.reject(unanswered());
    await settle();
    nowMs += 1_999;
    expect([await tokenNow(), requests.length]).toEqual(['first', 1]);
    nowMs += 1;
    expect([await tokenNow(), requests.length]).toEqual(['first', 2]);
    requests[1]?.reject(unanswered());
    await settle();
    nowMs = 100_000;
    const late = token.current();
    requests[2]?.reject(unanswered());
    await expect(late).rejects.toThrow('no answer');
  });

  test('is not returned after the service refused to renew it: the caller learns why', async () => {
    const ended = new PosternError('ended', {
      code: status.UNAUTHENTICATED,
      reason: 'REFRESH_TOKEN_REVOKED',
    });
    expect(await tokenNow()).toBe('first');
    requests[0]?.reject(ended);
    await settle();
    const asked = token.current();
    requests[1]?.reject(ended);
    await expect(asked).rejects.toBe(ended);
    const again = token.current();
    requests[2]?.resolve({ value: 'second', lifetimeMs: 100_000 });
    expect(await again).toBe('second');
    expect(await tokenNow()).toBe('second');
  });
});
