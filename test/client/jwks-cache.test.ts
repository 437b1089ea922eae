import { randomBytes, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { createVerifier, PosternError, type Verifier } from '../../src/client/postern-client.ts';
import { createTokenId, signAccessToken } from '../../src/tokens/issue/sign-access-token.ts';
import { generateSigningKey, importSigner } from '../../src/tokens/issue/signing-key.ts';
import type { PublicJwk } from '../../src/tokens/verify/verification-key.ts';
import { cacheTimes } from '../../src/trust/jwks-trust-source.ts';
import { until } from '../support/wait-for.ts';

const issuer = 'https://auth.example';

interface Answer {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body: string;
}

/** What the cache in front of the service answers, and how often it was asked. */
let answer: Answer;
let requests: number;
let server: Server;
let url: string;
let verifier: Verifier | undefined;

beforeEach(async () => {
  requests = 0;
  server = createServer((_request, response) => {
    requests += 1;
    response.writeHead(answer.status ?? 200, answer.headers);
    response.end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
});
afterEach(async () => {
  verifier?.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const start = (options: { maxStalenessMs?: number } = {}) =>
  (verifier = createVerifier({ trust: { jwksUrl: url, issuer, audiences: ['postern'] }, ...options }));

async function newKey() {
  const pair = await generateSigningKey('ES256');
  const signer = await importSigner(pair);
  const issue = () =>
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
  return { jwk: pair.publicJwk, issue };
}

const keySet = (...keys: PublicJwk[]) => JSON.stringify({ keys });
const cached = (maxAge: number, age: number) => ({ 'cache-control': `max-age=${maxAge}`, age: String(age) });

async function reasonOf(token: string): Promise<string | null> {
  try {
    await verifier?.verify(token);
    return null;
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return error.reason;
  }
}

test('V30 the time that a key set spent in a cache counts: a revoked key ends with max-age, not later', async () => {
  const [revoked, other] = [await newKey(), await newKey()];
  answer = { headers: cached(20, 19), body: keySet(revoked.jwk, other.jwk) };
  await start().ready(5_000);
  expect([await reasonOf(await revoked.issue()), requests]).toEqual([null, 1]);
  // Revoked at the service; what the cache has is fresh for one more second.
  answer = { headers: cached(20, 0), body: keySet(other.jwk) };
  const waitedMs = await until(() => requests === 2, 'the set is read again');
  expect(waitedMs).toBeLessThan(5_000);
  await until(async () => (await reasonOf(await revoked.issue())) !== null, 'the key has ended');
  expect(await reasonOf(await other.issue())).toBeNull();
});

test('V30 an older copy in another cache does not bring a revoked key back', async () => {
  const [revoked, other, unknown] = [await newKey(), await newKey(), await newKey()];
  answer = { headers: cached(600, 2), body: keySet(other.jwk) };
  await start().ready(5_000);
  answer = { headers: cached(600, 30), body: keySet(revoked.jwk, other.jwk) };
  expect([await reasonOf(await unknown.issue()), requests]).toEqual(['TOKEN_KEY_UNKNOWN', 2]);
  expect(await reasonOf(await revoked.issue())).toBe('TOKEN_KEY_UNKNOWN');
  // It is asked again soon, and a newer set is used.
  answer = { headers: cached(600, 0), body: keySet(other.jwk, unknown.jwk) };
  await until(async () => (await reasonOf(await unknown.issue())) === null, 'the new key is known');
});

test('a cache that keeps the key set for hours makes the verifier refuse, with the reason in ready()', async () => {
  const key = await newKey();
  answer = { headers: cached(20, 7_200), body: keySet(key.jwk) };
  const error: unknown = await start()
    .ready(300)
    .catch((caught: unknown) => caught);
  expect(error).toMatchObject({
    reason: 'TRUST_STALE',
    message: expect.stringContaining('a cache') as unknown,
  });
  expect(await reasonOf(await key.issue())).toBe('TRUST_STALE');
  expect(verifier?.state().status).toBe('stale');
});

test('ready() waits for keys that are not too old, as after a cache that had an old copy', async () => {
  const key = await newKey();
  answer = { headers: cached(20, 7_200), body: keySet(key.jwk) };
  const isReady = start().ready(5_000);
  await until(() => requests === 1, 'the old copy was read');
  answer = { headers: cached(20, 0), body: keySet(key.jwk) };
  expect(await isReady).toBe(true);
  expect(await reasonOf(await key.issue())).toBeNull();
});

describe('ready() names the cause', () => {
  test.each<[string, Answer, RegExp]>([
    ['a redirect', { status: 302, headers: { location: '/other' }, body: '' }, /redirect \(status 302\)/],
    ['an error', { status: 404, body: '' }, /status 404/],
    ['a text that is no JSON', { body: '<html>' }, /not JSON/],
    ['an empty set', { body: '{"keys":[]}' }, /publishes no keys/],
    ['too long an answer', { body: `{"keys":["${'a'.repeat(300_000)}"]}` }, /longer than 256 KiB/],
  ])('%s', async (_name, response, cause) => {
    answer = response;
    const error: unknown = await start()
      .ready(300)
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(PosternError);
    expect(error).toMatchObject({ reason: 'TRUST_STALE', message: expect.stringMatching(cause) as unknown });
    expect((error as Error).message).toMatch(/^no keys and revocations were received within 300 ms: /);
    // The redirect was not followed.
    expect(requests).toBe(1);
  });

  test('a service that does not listen, over gRPC', async () => {
    const trust = { upstream: { address: '127.0.0.1:1' }, credential: { clientId: 'a', clientSecret: 'b' } };
    verifier = createVerifier({ trust });
    await expect(verifier.ready(1_500)).rejects.toThrow(/UNAVAILABLE: .*ECONNREFUSED/);
  });
});

test.each([
  [{}, 300_000, 0],
  [{ 'cache-control': 'public, max-age=20', age: '15' }, 20_000, 15_000],
  [{ 'cache-control': 'max-age=20', age: '9'.repeat(400) }, 20_000, 2 ** 31 * 1_000],
  [{ 'cache-control': 'Public,Max-Age="20"', age: ' 7 ' }, 20_000, 7_000],
  [{ 'cache-control': 's-maxage=900, max-age=20, max-age=30' }, 20_000, 0],
  [{ 'cache-control': 'no-cache, max-age=900' }, 1_000, 0],
  [{ 'cache-control': 'no-store' }, 1_000, 0],
  [{ 'cache-control': 'max-age=0' }, 1_000, 0],
  [{ 'cache-control': 'max-age=99999999999999999999', age: '3, 12' }, 3_600_000, 12_000],
  [{ 'cache-control': 'max-age=-1', age: '-5' }, 300_000, 0],
  [{ 'cache-control': 'x-max-age=5', age: 'soon' }, 300_000, 0],
])('the headers %j', (headers, maxAgeMs, ageMs) => {
  expect(cacheTimes(new Headers(headers))).toEqual({ maxAgeMs, ageMs });
});
