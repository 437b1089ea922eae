import { expect, test } from '@jest/globals';

import { KeyedLimiter } from '../../../src/domain/concurrency/keyed-limiter.ts';
import { KeyedRateLimiter } from '../../../src/domain/concurrency/token-bucket.ts';
import {
  EXCHANGE_LIMITS,
  EXCHANGE_RATE,
  type ExchangeDependencies,
  exchangeToken,
} from '../../../src/features/token-exchange/exchange-token.ts';
import { testCall } from '../../support/test-call.ts';

const OWN = 'https://postern.example';
const claims = (iss: string) => Buffer.from(JSON.stringify({ iss })).toString('base64url');
const proofs = {
  certificate: '',
  apiKey: 'pak_x',
  ownToken: `x.${claims(OWN)}.x`,
  outsideToken: `x.${claims('https://outside.example')}.x`,
};

/** Resolvers that never answer, with the number of calls that have reached them. */
function waiting() {
  const started = { certificate: 0, apiKey: 0, ownToken: 0, outsideToken: 0 };
  const resolver = (kind: keyof typeof started) => () => {
    started[kind] += 1;
    return new Promise<never>(() => undefined);
  };
  const dependencies = {
    issuerName: OWN,
    limiter: new KeyedLimiter({ ...EXCHANGE_LIMITS, maxWaitMs: 10 }),
    resolvers: {
      certificate: resolver('certificate'),
      apiKey: resolver('apiKey'),
      ownToken: resolver('ownToken'),
      outsideToken: resolver('outsideToken'),
    },
  } as unknown as ExchangeDependencies;
  const exchange = (subjectToken: string, address: string) => {
    const { origin, ...call } = testCall();
    return exchangeToken(
      dependencies,
      { subjectToken, serviceAccount: '', audience: '', roles: [], actorToken: '' },
      { ...call, origin: { ...origin, address }, authorization: [], clientNames: null },
    );
  };
  return { started, exchange };
}

test.each(Object.entries(proofs))(
  'W16 at most 16 exchanges of one source with %s run at once; another source, and another kind, is not held up',
  async (kind, proof) => {
    const { started, exchange } = waiting();
    const all = Array.from({ length: 16 + 200 + 5 }, () => exchange(proof, '192.0.2.1'));
    const refused = await Promise.all(
      all.slice(16).map((call) => call.then(() => 'answered', (error: unknown) => error)), // prettier-ignore
    );
    for (const error of refused) expect(error).toMatchObject({ rejection: { kind: 'server-overloaded' } });
    expect(started).toMatchObject({ [kind]: 16 });
    void exchange(proof, '192.0.2.2');
    for (const other of Object.values(proofs)) if (other !== proof) void exchange(other, '192.0.2.1');
    const before = { certificate: 1, apiKey: 1, ownToken: 1, outsideToken: 1 };
    expect(started).toEqual({ ...before, [kind]: 17 });
  },
);

test('W17 a key has a burst, and then one more in each interval; keys do not share it', () => {
  const clock = { nowMs: 0 };
  const limiter = new KeyedRateLimiter(EXCHANGE_RATE, () => clock.nowMs);
  const taken = (key: string, count: number) =>
    Array.from({ length: count }, () => limiter.take(key)).filter((waitMs) => waitMs === 0).length;
  expect(taken('a', 400)).toBe(300);
  expect(limiter.take('a')).toBe(100);
  expect(taken('b', 1)).toBe(1);
  clock.nowMs = 1_000;
  expect(taken('a', 400)).toBe(10);
  clock.nowMs = 600_000;
  expect(taken('a', 400)).toBe(300);
});
