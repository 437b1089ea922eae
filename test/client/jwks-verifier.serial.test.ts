import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';

import { createVerifier, PosternError, type Verifier } from '../../src/client/postern-client.ts';
import { createTokenId, signAccessToken } from '../../src/tokens/issue/sign-access-token.ts';
import { generateSigningKey, importSigner } from '../../src/tokens/issue/signing-key.ts';
import type { SourceEvent } from '../../src/trust/stream-trust-source.ts';
import type { PublicJwk } from '../../src/tokens/verify/verification-key.ts';
import { encode } from '../security/forge.ts';
import { until } from '../support/wait-for.ts';

const issuer = 'https://auth.example';
/** Serves `published` as a key set and counts the requests; while `held` is a list, responses wait in it. */
let server: Server;
let url: string;
let published: PublicJwk[];
let maxAgeSeconds: number;
let asked: number;
let broken: boolean;
/** Before the text of the key set. */
let mark: string;
let held: (() => void)[] | null;
let stall: ((response: ServerResponse) => void) | null;
const verifiers: Verifier[] = [];

beforeEach(async () => {
  [published, maxAgeSeconds, asked, broken, held, stall, mark] = [[], 600, 0, false, null, null, ''];
  server = createServer((_request, response) => {
    asked += 1;
    if (stall) {
      stall(response);
      return;
    }
    const keys = published;
    const answer = () => respond(response, keys);
    if (held) held.push(answer);
    else answer();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const verifier of verifiers.splice(0)) verifier.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

function respond(response: ServerResponse, keys: readonly PublicJwk[]): void {
  response.statusCode = broken ? 503 : 200;
  response.setHeader('cache-control', `public, max-age=${maxAgeSeconds}`);
  response.end(mark + JSON.stringify({ keys }));
}

/** Publishes a new key. @returns a function that issues tokens signed with it */
async function publishKey() {
  const pair = await generateSigningKey('ES256');
  const signer = await importSigner(pair);
  published = [...published, pair.publicJwk];
  return () =>
    signAccessToken(signer, {
      issuer,
      audience: 'postern',
      subject: randomUUID(),
      sessionId: randomUUID(),
      clientId: 'postern',
      externalId: null,
      roles: [],
      tokenId: createTokenId(randomBytes(16)),
      issuedAtSeconds: Math.floor(Date.now() / 1000),
      lifetimeSeconds: 600,
    });
}

async function readyVerifier(): Promise<Verifier> {
  const verifier = createVerifier({ trust: { jwksUrl: url, issuer, audiences: ['postern'] } });
  verifiers.push(verifier);
  expect(await verifier.ready(5_000)).toBe(true);
  return verifier;
}

async function verdict(verifier: Verifier, token: string): Promise<string> {
  try {
    await verifier.verify(token);
    return 'good';
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return String(error.reason);
  }
}

/** Forged tokens, each with a random key id. */
const forgedTokens = (token: string, count: number) =>
  Array.from({ length: count }, () => {
    const [, claims, signature] = token.split('.');
    const header = { alg: 'ES256', kid: randomBytes(32).toString('base64url'), typ: 'at+jwt' };
    return `${encode(JSON.stringify(header))}.${claims}.${signature}`;
  });

test('K03 a key published after the set was read is fetched, once for many callers, and its tokens are valid', async () => {
  const before = await publishKey();
  const verifier = await readyVerifier();
  expect([await verdict(verifier, await before()), asked]).toEqual(['good', 1]);
  const after = await publishKey();
  const tokens = await Promise.all(Array.from({ length: 50 }, after));
  const verdicts = await Promise.all(tokens.map((token) => verdict(verifier, token)));
  expect([new Set(verdicts), asked]).toEqual([new Set(['good']), 2]);
  expect([await verdict(verifier, await before()), asked]).toEqual(['good', 2]);
});

test('a key set that a web server serves with a byte order mark is read', async () => {
  mark = '\ufeff';
  const issue = await publishKey();
  expect(await verdict(await readyVerifier(), await issue())).toBe('good');
});

test('T05 any number of forged key ids cause one request in 30 seconds and delay no token with a known key', async () => {
  const issue = await publishKey();
  const verifier = await readyVerifier();
  const token = await issue();
  const realNow = performance.now.bind(performance);
  let laterMs = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => realNow() + laterMs);
  const flood = async () => {
    const together = await Promise.all(forgedTokens(token, 200).map((forged) => verdict(verifier, forged)));
    const alone: string[] = [];
    for (const forged of forgedTokens(token, 200)) alone.push(await verdict(verifier, forged));
    expect(new Set([...together, ...alone])).toEqual(new Set(['TOKEN_KEY_UNKNOWN']));
    expect(await verdict(verifier, await issue())).toBe('good');
  };
  await flood();
  expect(asked).toBe(2);
  laterMs = 29_000;
  await flood();
  expect(asked).toBe(2);
  laterMs = 60_000;
  await flood();
  expect(asked).toBe(3);

  // Calls that wait for the response do not delay a token whose key is known.
  laterMs = 120_000;
  held = [];
  const waiting = forgedTokens(token, 50).map((forged) => verdict(verifier, forged));
  await until(() => held?.length === 1, 'the key set is requested');
  expect(await verdict(verifier, await issue())).toBe('good');
  for (const answer of held.splice(0)) answer();
  held = null;
  expect(new Set(await Promise.all(waiting))).toEqual(new Set(['TOKEN_KEY_UNKNOWN']));
  expect(asked).toBe(4);
});

test('when the key set cannot be fetched, unknown keys are refused and known ones kept', async () => {
  const issue = await publishKey();
  const verifier = await readyVerifier();
  const token = await issue();
  broken = true;
  const [forged = ''] = forgedTokens(token, 1);
  expect(await verdict(verifier, forged)).toBe('TOKEN_KEY_UNKNOWN');
  expect(await verdict(verifier, await issue())).toBe('good');
  expect(verifier.state()).toMatchObject({ status: 'ready', connected: false });
  broken = false;
  await until(() => verifier.state().connected, 'asked again');
});

test('an empty key set replaces no keys, and without keys no token is verified', async () => {
  const events: SourceEvent[] = [];
  const [empty, issue] = [published, await publishKey()];
  const filled = published;
  published = empty;
  const verifier = createVerifier({
    trust: { jwksUrl: url, issuer, audiences: ['postern'] },
    onEvent: (event) => events.push(event),
  });
  verifiers.push(verifier);
  await until(() => events.length > 0, 'the empty set was received');
  expect(events[0]).toMatchObject({
    kind: 'unusable',
    error: { message: expect.stringMatching(/no keys/) as unknown },
  });
  expect(verifier.state()).toMatchObject({ status: 'waiting', connected: false });
  expect(await verdict(verifier, await issue())).toBe('TRUST_STALE');

  published = filled;
  expect(await verifier.ready(5_000)).toBe(true);
  published = empty;
  const [forged = ''] = forgedTokens(await issue(), 1);
  expect(await verdict(verifier, forged)).toBe('TOKEN_KEY_UNKNOWN');
  expect(events.at(-1)?.kind).toBe('unusable');
  expect(await verdict(verifier, await issue())).toBe('good');
});

test('N17 a key set whose body stalls is abandoned in time, whatever is garbage collected', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let hungUp = false;
  stall = (response) => {
    response.on('close', () => (hungUp = true));
    response.write('{"keys":[');
  };
  const events: SourceEvent[] = [];
  const verifier = createVerifier({
    trust: { jwksUrl: url, issuer, audiences: ['postern'] },
    onEvent: (event) => events.push(event),
  });
  verifiers.push(verifier);
  await until(() => asked === 1, 'the set is requested');
  const collecting = setInterval(collect, 250);
  await until(() => events.length > 0, 'it is abandoned').finally(() => clearInterval(collecting));
  expect(events[0]).toMatchObject({
    kind: 'disconnected',
    end: { details: expect.stringContaining('within 5 seconds') as unknown },
  });
  await until(() => hungUp, 'the connection is closed');
});

test('an early fetch during a scheduled one does not start a second schedule', async () => {
  maxAgeSeconds = 1;
  const issue = await publishKey();
  const verifier = await readyVerifier();
  held = [];
  await until(() => held?.length === 1, 'the set is read again in its time');
  const early = verdict(verifier, forgedTokens(await issue(), 1)[0] ?? '');
  await until(() => held?.length === 2, 'and ahead of its time');
  const answerAll = () => held?.splice(0).map((answer) => answer()).length;
  expect(answerAll()).toBe(2);
  expect(await early).toBe('TOKEN_KEY_UNKNOWN');
  // From here on there is one request at a time again, each a second after the previous one.
  for (let round = 0; round < 2; round++) {
    expect(await until(() => held?.length !== 0, 'the next reading')).toBeGreaterThan(500);
    expect(answerAll()).toBe(1);
  }
});

test('a slow response to an earlier request does not replace a newer one', async () => {
  maxAgeSeconds = 1;
  const before = await publishKey();
  const verifier = await readyVerifier();
  held = [];
  await until(() => held?.length === 1, 'the set is read again in its time');
  maxAgeSeconds = 600;
  const after = await publishKey();
  const early = verdict(verifier, await after());
  await until(() => held?.length === 2, 'and ahead of its time, for the new key');
  const [older, newer] = held;
  newer?.();
  expect(await early).toBe('good');
  const taken = jest.spyOn(JSON, 'parse');
  older?.();
  await until(() => taken.mock.calls.some(([text]) => text.includes('"keys"')), 'the older answer is read');
  expect([await verdict(verifier, await after()), await verdict(verifier, await before())]).toEqual([
    'good',
    'good',
  ]);
});

test('V31 a closed verifier refuses at once what it had accepted, and is not ready', async () => {
  const issue = await publishKey();
  const verifier = await readyVerifier();
  const [known, fresh] = [await issue(), await issue()];
  expect(await verdict(verifier, known)).toBe('good');
  const waiting = createVerifier({
    trust: { jwksUrl: 'http://127.0.0.1:1/', issuer, audiences: ['postern'] },
    whenStale: 'accept',
  });
  for (const closed of [verifier, waiting]) {
    closed.close();
    const refused = { reason: 'TRUST_STALE', message: 'the verifier is closed' };
    for (const token of [known, fresh, 'a.b.c'])
      await expect((async () => closed.verify(token))()).rejects.toMatchObject(refused);
    await expect(closed.ready(60_000)).rejects.toMatchObject(refused);
    expect(closed.state().status).toBe('waiting');
  }
});
