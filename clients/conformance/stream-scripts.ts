import { randomBytes, randomUUID } from 'node:crypto';

import { status } from '@grpc/grpc-js';

import { createTokenId, signAccessToken } from '../../src/tokens/issue/sign-access-token.ts';
import { generateSigningKey, importSigner } from '../../src/tokens/issue/signing-key.ts';
import type { PublicJwk } from '../../src/tokens/verify/verification-key.ts';
import {
  type Event,
  heartbeat,
  ISSUER,
  keyId,
  keys,
  keysText,
  NOW,
  receive,
  revocations,
  session,
  sessionName,
  tokenId,
  unknownRevocation,
  unknownUpdate,
} from './stream-messages.ts';
import type { StreamExpectation, StreamScript, StreamStep } from './vectors.ts';

const MAX_STALENESS_MS = 300_000;

const OK = 'accepted';
const STALE = 'TRUST_STALE';
const REVOKED = 'TOKEN_REVOKED';

/** What differs from the expectation of the step before. */
type Change = Partial<StreamExpectation>;
type Line = readonly [name: string, event: Event, change?: Change];

/** Two keys, and a token of each with what its revocations name. */
async function parties() {
  const issue = (seconds = 600, changes: { sessionId?: string | null; audience?: string } = {}) => {
    const sessionId = changes.sessionId === undefined ? randomUUID() : changes.sessionId;
    const tokenId = createTokenId(randomBytes(16));
    return { sessionId, tokenId, seconds, audience: changes.audience ?? 'postern' };
  };
  const pairs = await Promise.all([generateSigningKey('ES256'), generateSigningKey('ES256')]);
  const signers = await Promise.all(pairs.map((pair) => importSigner(pair)));
  const sign = async (index: 0 | 1, ...options: Parameters<typeof issue>) => {
    const { sessionId, tokenId, seconds, audience } = issue(...options);
    const signer = signers[index];
    if (signer === undefined) throw new Error('no signer');
    const token = await signAccessToken(signer, {
      issuer: ISSUER,
      audience,
      subject: randomUUID(),
      sessionId,
      clientId: sessionId === null ? 'billing' : 'postern',
      externalId: null,
      roles: [],
      tokenId,
      issuedAtSeconds: NOW,
      lifetimeSeconds: seconds,
    });
    return { token, sessionId: sessionId ?? '', tokenId };
  };
  const [first, second] = pairs.map(({ publicJwk }) => publicJwk);
  if (!first || !second) throw new Error('no keys');
  return { first, second, sign };
}

/** Histories of WatchTrust. The expectations are written by hand; the tests of each language compare their verifier. */
export async function streamScripts(): Promise<readonly StreamScript[]> {
  return [
    await firstList(),
    await changes(),
    await staleness(),
    await lostStreams(),
    await clock(),
    await beforeTheKeys(),
  ];
}

async function firstList(): Promise<StreamScript> {
  const { first, sign } = await parties();
  const [good, bySession] = [await sign(0), await sign(0)];
  return script('the first list of revocations', { good, bySession }, [
    ['keys alone', receive(keys([first])), { connected: true }],
    ['a heartbeat ahead of the list does not count', receive(heartbeat(0))],
    [
      'a part of the list',
      receive(revocations([session(bySession.sessionId)], { snapshot: true }), 'c0'),
      { revocations: 1 },
    ],
    ['a heartbeat within the list does not count', receive(heartbeat(0), 'c0')],
    [
      'the end of the list',
      receive(revocations([], { snapshot: true, complete: true }), 'c1'),
      { cursor: 'c1' },
    ],
    [
      'the first heartbeat after it',
      receive(heartbeat(0), 'c1'),
      { status: 'ready', tokens: { good: OK, bySession: REVOKED } },
    ],
  ]);
}

async function changes(): Promise<StreamScript> {
  const { first, second, sign } = await parties();
  const named = await sign(0, 600, { sessionId: 'session 7/ü' });
  const [bySession, byToken, service, other] = [
    await sign(0),
    await sign(0),
    await sign(0, 600, { sessionId: null }),
    await sign(1),
  ];
  const tokens = { named, bySession, byToken, service, other };
  const upperCase = bySession.sessionId.toUpperCase();
  return script('changes of keys and revocations', tokens, [
    ...begin([first, second], { named: OK, bySession: OK, byToken: OK, service: OK, other: OK }),
    [
      'a session of another spelling',
      receive(revocations([sessionName(upperCase)]), 'c2'),
      { cursor: 'c2', revocations: 1 },
    ],
    [
      'a session by its bytes',
      receive(revocations([session(bySession.sessionId)]), 'c3'),
      { cursor: 'c3', revocations: 2, tokens: { bySession: REVOKED } },
    ],
    ['the same once more', receive(revocations([session(bySession.sessionId)]), 'c4'), { cursor: 'c4' }],
    [
      'a session by its name',
      receive(revocations([sessionName(named.sessionId)]), 'c5'),
      { cursor: 'c5', revocations: 3, tokens: { named: REVOKED } },
    ],
    [
      'a token and a stranger',
      receive(revocations([tokenId(byToken.tokenId), tokenId(randomUUID())]), 'c6'),
      { cursor: 'c6', revocations: 5, tokens: { byToken: REVOKED } },
    ],
    [
      'a revocation of a kind that only newer servers know',
      { receive: unknownRevocation('c7') },
      { cursor: 'c7' },
    ],
    ['an update of a kind that only newer servers know', { receive: unknownUpdate('c8') }, { cursor: 'c8' }],
    ['an update without a cursor', receive(heartbeat(0), '')],
    [
      'a key is gone',
      receive(keys([first]), 'c8'),
      { tokens: { other: 'TOKEN_KEY_UNKNOWN', bySession: REVOKED } },
    ],
    ['no key at all: the ones before stay', receive(keys([]), 'c8')],
    ['text that is no key set: the ones before stay', receive(keysText('{"keys":'), 'c8')],
    ['only a bad key: the ones before stay', receive(keys([{ ...second, use: 'enc' as 'sig' }]), 'c8')],
    ['the key is back', receive(keys([second, first]), 'c8'), { tokens: { other: OK } }],
    [
      'the other key is revoked',
      receive(revocations([keyId(second.kid)]), 'c9'),
      { cursor: 'c9', revocations: 6, tokens: { other: REVOKED } },
    ],
    [
      'another audience is expected',
      receive(keys([first, second], { audiences: ['billing'] }), 'c9'),
      { tokens: every(tokens, 'TOKEN_CLAIMS_INVALID') },
    ],
    [
      'a shorter lifetime is the maximum',
      receive(keys([first, second], { maxLifetime: 599 }), 'c9'),
      { tokens: every(tokens, 'TOKEN_CLAIMS_INVALID') },
    ],
    [
      'the first rules again',
      receive(keys([first, second]), 'c9'),
      { tokens: { named: REVOKED, bySession: REVOKED, byToken: REVOKED, service: OK, other: REVOKED } },
    ],
  ]);
}

async function staleness(): Promise<StreamScript> {
  const { first, sign } = await parties();
  const [good, revoked] = [await sign(0), await sign(0)];
  return script('stale news', { good, revoked }, [
    ['keys', receive(keys([first])), { connected: true }],
    ['the list', receive(revocations([], { snapshot: true, complete: true }), 'c1'), { cursor: 'c1' }],
    ['a heartbeat with old news', receive(heartbeat(300_001), 'c1'), { status: 'stale' }],
    [
      'fresher news',
      receive(heartbeat(299_000), 'c1'),
      { status: 'ready', tokens: { good: OK, revoked: OK } },
    ],
    ['two seconds more', { elapse_ms: 2_000 }, { status: 'stale', tokens: { good: STALE, revoked: STALE } }],
    [
      'a revocation meanwhile',
      receive(revocations([session(revoked.sessionId)]), 'c2'),
      { cursor: 'c2', revocations: 1 },
    ],
    ['news of now', receive(heartbeat(0), 'c2'), { status: 'ready', tokens: { good: OK, revoked: REVOKED } }],
    ['older news after it', receive(heartbeat(310_000), 'c2')],
    ['the stream ends', { end: status.UNAVAILABLE }, { connected: false }],
    ['just within the limit', { elapse_ms: 299_000 }],
    ['beyond it', { elapse_ms: 1_001 }, { status: 'stale', tokens: { good: STALE, revoked: STALE } }],
    ['a new stream with keys', receive(keys([first]), 'c2'), { connected: true }],
    [
      'and its heartbeat',
      receive(heartbeat(0), 'c2'),
      { status: 'ready', tokens: { good: OK, revoked: REVOKED } },
    ],
  ]);
}

async function lostStreams(): Promise<StreamScript> {
  const { first, sign } = await parties();
  const [good, revoked] = [await sign(0), await sign(0)];
  return script('lost streams', { good, revoked }, [
    ['refused before the first message', { end: status.UNAUTHENTICATED }, { forgotten: 1 }],
    ['keys', receive(keys([first])), { connected: true }],
    ['lost within the list', { end: status.UNAVAILABLE }, { connected: false }],
    ['keys once more', receive(keys([first])), { connected: true }],
    [
      'the list',
      receive(revocations([tokenId('another')], { snapshot: true, complete: true }), 'c1'),
      { cursor: 'c1', revocations: 1 },
    ],
    ['ready', receive(heartbeat(0), 'c1'), { status: 'ready', tokens: { good: OK, revoked: OK } }],
    ['not allowed: the credential stays', { end: status.PERMISSION_DENIED }, { connected: false }],
    ['connected again', receive(keys([first]), 'c1'), { connected: true }],
    [
      'what was missed',
      receive(revocations([session(revoked.sessionId)], { complete: true }), 'c2'),
      { cursor: 'c2', revocations: 2, tokens: { revoked: REVOKED } },
    ],
    ['the credential was revoked', { end: status.UNAUTHENTICATED }, { connected: false, forgotten: 2 }],
    ['too slow a reader', { end: status.RESOURCE_EXHAUSTED }],
    ['connected again, the server forgot the cursor', receive(keys([first])), { connected: true }],
    [
      'the whole list',
      receive(revocations([session(revoked.sessionId)], { snapshot: true, complete: true }), 'd1'),
      { cursor: 'd1' },
    ],
  ]);
}

async function clock(): Promise<StreamScript> {
  const { first, sign } = await parties();
  const [good, revoked, short] = [await sign(0), await sign(0), await sign(0, 60)];
  return script('the clock', { good, revoked, short }, [
    ...begin([first], { good: OK, revoked: OK, short: OK }),
    [
      'revocations',
      receive(revocations([session(revoked.sessionId, NOW + 605), session(short.sessionId, NOW + 65)]), 'c2'),
      { cursor: 'c2', revocations: 2, tokens: { revoked: REVOKED, short: REVOKED } },
    ],
    [
      'one of them expires later',
      receive(revocations([session(short.sessionId, NOW + 80)]), 'c3'),
      { cursor: 'c3' },
    ],
    ['and not earlier', receive(revocations([session(short.sessionId, NOW + 10)]), 'c4'), { cursor: 'c4' }],
    [
      'a token has expired, its revocation has not',
      { set_clock: NOW + 70 },
      { tokens: { short: 'TOKEN_EXPIRED' } },
    ],
    ['the clock is set back by less than the tolerance', { set_clock: NOW + 66 }],
    ['its revocation is dropped', { set_clock: NOW + 80 }, { revocations: 1 }],
    [
      'the clock is a day ahead',
      { set_clock: NOW + 86_400 },
      { revocations: 0, tokens: { good: 'TOKEN_EXPIRED', revoked: 'TOKEN_EXPIRED' } },
    ],
    [
      'the clock is set back: what was dropped may count again, so everything is read again first',
      { set_clock: NOW + 90 },
      { status: 'waiting', connected: false, cursor: '', tokens: every({ good, revoked, short }, STALE) },
    ],
    ['a new stream', receive(keys([first])), { connected: true }],
    ['a heartbeat ahead of its list does not count', receive(heartbeat(0), 'c5')],
    [
      'the whole list',
      receive(revocations([session(revoked.sessionId)], { snapshot: true, complete: true }), 'c5'),
      { cursor: 'c5', revocations: 1 },
    ],
    [
      'and its heartbeat',
      receive(heartbeat(0), 'c5'),
      { status: 'ready', tokens: { good: OK, revoked: REVOKED, short: 'TOKEN_EXPIRED' } },
    ],
  ]);
}

async function beforeTheKeys(): Promise<StreamScript> {
  const { first, sign } = await parties();
  const [good] = [await sign(0)];
  return script('a service without keys', { good }, [
    ['no keys', receive(keys([])), { connected: true }],
    ['the list', receive(revocations([], { snapshot: true, complete: true }), 'c1'), { cursor: 'c1' }],
    ['a heartbeat without keys does not count', receive(heartbeat(0), 'c1')],
    ['the keys', receive(keys([first]), 'c1')],
    ['a heartbeat', receive(heartbeat(0), 'c1'), { status: 'ready', tokens: { good: OK } }],
  ]);
}

function begin(jwks: readonly PublicJwk[], tokens: Record<string, string>): readonly Line[] {
  return [
    ['keys', receive(keys(jwks)), { connected: true }],
    ['the list', receive(revocations([], { snapshot: true, complete: true }), 'c1'), { cursor: 'c1' }],
    ['ready', receive(heartbeat(0), 'c1'), { status: 'ready', tokens }],
  ];
}

function script(
  name: string,
  tokens: Readonly<Record<string, { readonly token: string }>>,
  lines: readonly Line[],
): StreamScript {
  let then: StreamExpectation = {
    status: 'waiting',
    connected: false,
    revocations: 0,
    cursor: '',
    forgotten: 0,
    tokens: every(tokens, STALE),
  };
  const steps = lines.map(([step, event, change = {}]): StreamStep => {
    then = { ...then, ...change, tokens: { ...then.tokens, ...change.tokens } };
    return { name: step, ...event, then };
  });
  const texts = Object.fromEntries(Object.entries(tokens).map(([label, { token }]) => [label, token]));
  return { name, now: NOW, max_staleness_ms: MAX_STALENESS_MS, tokens: texts, steps };
}

const every = (tokens: object, verdict: string) =>
  Object.fromEntries(Object.keys(tokens).map((label) => [label, verdict]));
