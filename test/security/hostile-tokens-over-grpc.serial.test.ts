import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { importSharedSecret } from '../../src/tokens/issue/shared-secret-key.ts';
import { forge, json, secretKey } from './forge.ts';
import { validTokens } from './valid-tokens.ts';
import { hostileTokens } from './hostile-tokens.ts';
import { inBatches } from './in-batches.ts';
import { callOverHttp } from '../support/call-over-http.ts';
import { fastest } from './fastest.ts';
import { serviceUnderAttack, type ServiceUnderAttack } from './running-service.ts';
import { legacySecret, modesUnderTest } from './verifier-under-test.ts';

/** The limit of gRPC requests (N02): a longer token does not reach the verifier. */
const maxMessageBytes = 64 * 1024;
const url = ({ service }: ServiceUnderAttack) => `${service.httpUrl}/postern.v1.AuthService/VerifyToken`;

/** JSON has its own size, and text with lone surrogates, which JSON can write and UTF-8 cannot, is refused. */
function httpExpectation(body: string, token: string, expected: string): string {
  if (Buffer.byteLength(body) > maxMessageBytes) return 'RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE';
  return token.isWellFormed() ? expected : 'INVALID_ARGUMENT FIELD_INVALID';
}

/** The limit of one call, transport included. */
const limitMs = 50;
const untilMs = Date.now() + 86_400_000;
const legacyHs256Open = {
  POSTERN_LEGACY_HS256_SECRET: legacySecret.reveal(),
  POSTERN_LEGACY_HS256_UNTIL: new Date(untilMs).toISOString().replace(/\.\d+Z$/, 'Z'),
};

describe.each(modesUnderTest)('hostile tokens over gRPC, $name', ({ mode, legacyHs256 }) => {
  let subject: ServiceUnderAttack;
  beforeAll(async () => {
    const legacyKey = legacyHs256 ? { key: importSharedSecret(legacySecret), untilMs } : null;
    subject = await serviceUnderAttack(mode, legacyHs256 ? legacyHs256Open : {}, legacyKey);
  }, 60_000);
  afterAll(() => subject.service.stop());

  /** The answer of VerifyToken: `OK`, or the code and, where Postern itself refuses, the reason. */
  async function rpcVerdict(token: string, asHeader = false): Promise<string> {
    const { code, reason } = await subject.service.call(
      'postern.v1.AuthService/VerifyToken',
      asHeader ? {} : { access_token: token },
      asHeader ? { authorization: `Bearer ${token}` } : {},
    );
    return [status[code], reason].filter((part) => part !== undefined).join(' ');
  }

  async function expectedVerdict(token: string): Promise<string> {
    if (Buffer.byteLength(token) > maxMessageBytes - 4) return 'RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE';
    // Without a token in the message, the token is read from the header.
    if (token === '') return 'UNAUTHENTICATED CREDENTIALS_MISSING';
    const verdict = await subject.twin.verify(token);
    return verdict.ok ? 'OK' : `UNAUTHENTICATED ${verdict.refusal.reason}`;
  }

  test('T01-T20 the service refuses each token as the in-process verifier does', async () => {
    const wrong: string[] = [];
    const hostile = await inBatches(hostileTokens(subject.setting), async ({ name, row, token }) => {
      const [expected, answer] = [await expectedVerdict(token), await rpcVerdict(token)];
      if (answer !== expected) wrong.push(`${row} ${name}: ${answer}, in process ${expected}`);
      if (expected === 'OK') wrong.push(`${row} ${name}: accepted in process`);
    });
    expect(wrong).toEqual([]);
    expect(hostile.length).toBeGreaterThanOrEqual(640);
  }, 60_000);

  test('T01-T20 H03 the service refuses each token over HTTP in the same way, equal refusals byte for byte', async () => {
    const wrong: string[] = [];
    const answers = new Map<string, Set<string>>();
    await inBatches(hostileTokens(subject.setting), async ({ name, row, token }) => {
      const body = JSON.stringify({ accessToken: token });
      const { code, reason, message, shape } = await callOverHttp(url(subject), body);
      const expected = httpExpectation(body, token, await expectedVerdict(token));
      const answer = [code?.toUpperCase(), reason].join(' ');
      if (answer !== expected) wrong.push(`${row} ${name}: ${answer}, in process ${expected}`);
      answers.set(`${answer} ${message}`, (answers.get(`${answer} ${message}`) ?? new Set()).add(shape));
    });
    expect(wrong).toEqual([]);
    expect(answers.size).toBeGreaterThan(10);
    for (const [answer, shapes] of answers) expect([answer, shapes.size]).toEqual([answer, 1]);
  }, 60_000);

  test('T02 every refusal is quick', async () => {
    const slow: string[] = [];
    let number = 0;
    for (const { name, row, token } of hostileTokens(subject.setting)) {
      // The verifier is timed with every token elsewhere; here the transport is included.
      if (token.length < 4_000 && ++number % 10 > 0) continue;
      const ms = await fastest(limitMs, 10, () => rpcVerdict(token));
      if (ms > limitMs) slow.push(`${row} ${name}: refused only after ${ms} ms`);
    }
    expect(slow).toEqual([]);
  }, 60_000);

  test('T01-T20 the service refuses the same tokens in the authorization header', async () => {
    const wrong: string[] = [];
    // Only a token68 of RFC 7235 reaches the verifier through a header. The verifier is the same: a sample is enough.
    const some = [...hostileTokens(subject.setting)]
      .filter(({ token }) => /^[A-Za-z0-9\-._~+/]+=*$/.test(token) && token.length <= 12_000)
      .filter((_, number) => number % 5 === 0);
    await inBatches(some, async ({ name, row, token }) => {
      const [expected, answer] = [await expectedVerdict(token), await rpcVerdict(token, true)];
      if (answer !== expected) wrong.push(`${row} ${name}: ${answer}, in process ${expected}`);
    });
    expect(wrong).toEqual([]);
  }, 60_000);

  test('valid tokens are accepted', async () => {
    const refused: string[] = [];
    for (const { name, token } of validTokens(subject.setting)) {
      const answer = await rpcVerdict(token);
      if (answer !== 'OK') refused.push(`${name}: ${answer}`);
    }
    expect(refused).toEqual([]);
  });

  test('a legacy token is accepted only in legacy mode, and only by its rules', async () => {
    const { nowSeconds } = subject.setting;
    const claims = { user_id: 42, exp: nowSeconds + 600 };
    const sign = (content: object, secret = legacySecret.reveal()) =>
      forge('HS256', json({ alg: 'HS256', typ: 'JWT' }), json(content), secretKey(secret));
    const verdicts = new Map([
      [sign(claims), legacyHs256 ? 'OK' : null],
      [sign(claims, 'your-256-bit-secret'), null],
      [sign({ ...claims, exp: nowSeconds - 60 }), null],
      [sign({ ...claims, user_id: ['42'] }), null],
      [sign({ ...claims, iss: subject.setting.issuer }), null],
      [sign({ exp: claims.exp }), null],
    ]);
    for (const [token, verdict] of verdicts) {
      const answer = await rpcVerdict(token);
      expect(answer).toBe(await expectedVerdict(token));
      expect(answer).toMatch(verdict ?? /^UNAUTHENTICATED TOKEN_/);
    }
  });

  test('T25 no log line contains a part of a token', () => {
    const [, claims = '', signature = ''] = subject.setting.validToken.split('.');
    const log = subject.service.logLines.join('\n');
    expect(log).toContain('TOKEN_MALFORMED');
    for (const piece of [
      claims.slice(0, 40),
      signature.slice(0, 40),
      'aaaaaaaaaaaaaaaa',
      '"level":"error"',
    ]) {
      expect(log).not.toContain(piece);
    }
  });
});
