import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';

import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

import { bearerVectors } from '../../clients/conformance/bearer-vectors.ts';
import { differences } from '../../clients/conformance/outline.ts';
import { streamScripts } from '../../clients/conformance/stream-scripts.ts';
import { claimsVector } from '../../clients/conformance/token-vectors.ts';
import type { Corpus, StreamScript, StreamStep, TokenVector } from '../../clients/conformance/vectors.ts';
import { createVerifier, PosternError, type Verifier } from '../../src/client/postern-client.ts';
import { ServiceCredential } from '../../src/client/service-credential.ts';
import { TrustServiceClient, TrustUpdate } from '../../src/generated/postern/v1/trust.ts';
import { readBearerToken } from '../../src/tokens/bearer-token.ts';
import { TrustBundle } from '../../src/trust/trust-bundle.ts';
import { readKeySet } from '../../src/trust/trusted-keys.ts';

const sample = <Name extends keyof Corpus>(name: Name) =>
  JSON.parse(
    readFileSync(new URL(`../../clients/conformance/sample/${name}`, import.meta.url), 'utf8'),
  ) as Corpus[Name];

const replaceKeys: unknown = Reflect.get(TrustBundle.prototype, 'replaceKeys');

/** A stream of the verifier under test, without a connection. */
class Stream extends EventEmitter {
  readonly cursor: string;
  constructor(cursor: string) {
    super();
    this.cursor = cursor;
  }
  cancel(): void {
    this.removeAllListeners('data');
  }
}

let streams: Stream[];
/** The one that received an update last. */
let latest: Stream | undefined;
let forgotten: number;
/** How many key sets were applied, or found unusable. */
let keySets: number;
let verifier: Verifier;

/** A verifier whose streams are in `streams`, by a clock that stands still. */
function open(now: number, maxStalenessMs: number): void {
  jest.useFakeTimers({
    now: now * 1000,
    doNotFake: ['hrtime', 'nextTick', 'setImmediate', 'queueMicrotask'],
  });
  [streams, latest, forgotten, keySets] = [[], undefined, 0, 0];
  jest.spyOn(TrustServiceClient.prototype, 'watchTrust').mockImplementation((({ cursor }: Stream) => {
    const stream = new Stream(cursor);
    streams.push(stream);
    return stream;
  }) as never);
  jest.spyOn(TrustBundle.prototype, 'replaceKeys').mockImplementation(function (this: TrustBundle, ring) {
    (replaceKeys as TrustBundle['replaceKeys']).call(this, ring);
    keySets += 1;
  });
  const credential = { authorization: 'Bearer a', renewAtMs: Infinity };
  jest.spyOn(ServiceCredential.prototype, 'next').mockImplementation(() => Promise.resolve(credential));
  jest.spyOn(ServiceCredential.prototype, 'forget').mockImplementation(() => void (forgotten += 1));
  const account = { clientId: 'orders', clientSecret: 'secret' };
  verifier = createVerifier({
    trust: { upstream: { address: '127.0.0.1:1' }, credential: account },
    maxStalenessMs,
    onEvent: ({ kind }) => void (keySets += kind === 'unusable' ? 1 : 0),
  });
}
beforeEach(() => open(1, 1));
afterEach(() => {
  verifier.close();
  jest.restoreAllMocks();
  jest.useRealTimers();
});

async function answerTo(token: string, require: TokenVector['require'] = {}): Promise<unknown> {
  try {
    const { min_acr: minAcr, max_auth_age: maxAuthAgeSeconds, ...others } = require;
    const requirements = {
      ...others,
      ...(minAcr !== undefined && { minAcr }),
      ...(maxAuthAgeSeconds !== undefined && { maxAuthAgeSeconds }),
    };
    return claimsVector(await verifier.verify(token, requirements));
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return error.reason;
  }
}

/** Lets promises come to an end. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function receive(update: TrustUpdate): Promise<void> {
  const opened = () => streams.findLast((stream) => stream.listenerCount('data') > 0);
  // A lost stream is opened again after a pause.
  for (let turn = 0; turn < 100 && !opened(); turn++) await jest.advanceTimersByTimeAsync(50);
  latest = opened();
  const before = keySets;
  latest?.emit('data', update);
  await settle();
  // A thread imports keys; what comes after them waits.
  while (update.update?.$case === 'keys' && keySets === before) await settle();
}

describe.each(sample('tokens.json'))('the tokens of $name', ({ now, jwks, policy, tokens }) => {
  test('T01-T21 M50 M51 are accepted with their claims, or refused for the right reason', async () => {
    verifier.close();
    open(now, 300_000);
    const { max_lifetime: maxLifetime, clock_skew: clockSkew, issuer, audiences } = policy;
    const value = { jwks, issuer, audiences: [...audiences], maxLifetime, clockSkew };
    await receive({ cursor: '', update: { $case: 'keys', value } });
    const list = { revocations: [], snapshot: true, complete: true };
    await receive({ cursor: 'c', update: { $case: 'revocations', value: list } });
    await receive({ cursor: 'c', update: { $case: 'heartbeat', value: { newsAgeMs: 0, relayPath: [] } } });
    const wrong: string[] = [];
    for (const { name, token, require, expect: reasons, claims } of tokens) {
      const text = typeof token === 'string' ? token : token.head.padEnd(token.length, token.fill);
      const answer = await answerTo(text, require);
      const isRight = reasons
        ? reasons.includes(answer as string)
        : JSON.stringify(answer) === JSON.stringify(claims);
      if (!isRight) wrong.push(`${name}: ${JSON.stringify(answer)}`);
    }
    expect(wrong).toEqual([]);
    expect(tokens.length).toBeGreaterThan(20);
  });
});

test('K01 K02 of a key set, only the sound keys are used', async () => {
  for (const { name, jwks, kids } of sample('keysets.json')) {
    const kept = await readKeySet(jwks).then(
      (ring) => ring.kids,
      () => [],
    );
    expect([name, kept]).toEqual([name, kids]);
  }
});

test('the authorization headers of a request', () => {
  for (const { values, kind, token } of sample('bearer.json'))
    expect(readBearerToken(values)).toMatchObject({ kind, ...(token !== undefined && { token }) });
});

test('the sample has the headers and streams of the generator; `npm run conformance` compares all of it', async () => {
  const committed: Corpus = {
    'tokens.json': sample('tokens.json'),
    'keysets.json': sample('keysets.json'),
    'bearer.json': sample('bearer.json'),
    'streams.json': sample('streams.json'),
    'policies.json': sample('policies.json'),
  };
  const made = { ...committed, 'bearer.json': bearerVectors(), 'streams.json': await streamScripts() };
  expect(differences(committed, made)).toEqual([]);
});

describe('a stream', () => {
  test('S17 V04 every script of the sample and of the generator leads where it says', async () => {
    for (const script of [...sample('streams.json'), ...(await streamScripts())]) await run(script);
  });
});

async function run(script: StreamScript): Promise<void> {
  verifier.close();
  jest.useRealTimers();
  open(script.now, script.max_staleness_ms);
  await settle();
  let cursor = '';
  let stream: Stream | undefined;
  for (const step of script.steps) {
    await perform(step);
    // A new stream continues where the last one ended.
    if (stream !== latest) expect([step.name, latest?.cursor]).toEqual([step.name, cursor]);
    [stream, cursor] = [latest, step.then.cursor];
    const found = await stateOf(script);
    expect({ script: script.name, step: step.name, ...found }).toEqual({
      script: script.name,
      step: step.name,
      ...withoutCursor(step),
    });
  }
}

/** The cursor shows when the next stream is opened. */
function withoutCursor({ then }: StreamStep) {
  return Object.fromEntries(Object.entries(then).filter(([name]) => name !== 'cursor'));
}

async function perform({ receive: update, end, elapse_ms: elapseMs, set_clock: seconds }: StreamStep) {
  if (update !== undefined) await receive(TrustUpdate.decode(Buffer.from(update, 'base64')));
  if (end !== undefined) {
    streams.at(-1)?.emit('error', { code: end, details: status[end] });
    await settle();
  }
  if (elapseMs !== undefined) await jest.advanceTimersByTimeAsync(elapseMs);
  if (seconds !== undefined) {
    jest.setSystemTime(seconds * 1000 - 1000);
    await jest.advanceTimersByTimeAsync(1000);
  }
}

async function stateOf({ tokens }: StreamScript) {
  const { status: state, connected, revocations } = verifier.state();
  const verdicts: Record<string, string> = {};
  for (const [name, token] of Object.entries(tokens)) {
    const answer = await answerTo(token);
    verdicts[name] = typeof answer === 'string' ? answer : 'accepted';
  }
  return { status: state, connected, revocations, forgotten, tokens: verdicts };
}
