import { randomBytes, randomUUID, type KeyObject } from 'node:crypto';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { decode, encode, forge, json, secretKey } from '../../security/forge.ts';
import { activeKey } from '../../security/running-service.ts';
import { account, type Tokens } from '../../support/account.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';

const ann = { email: 'ann@example.com', password: 'correct horse battery' };
const legacySecret = randomBytes(32).toString('hex');
const sharedSecret = randomBytes(32).toString('hex');
let service: TestService;
let signingKey: KeyObject;
/** Signs with a secret shared with other programs. */
let sharing: TestService;

beforeAll(async () => {
  service = await startTestService({
    POSTERN_AUDIENCE: 'postern,shop',
    POSTERN_LEGACY_HS256_SECRET: legacySecret,
    POSTERN_LEGACY_HS256_UNTIL: '2100-01-01',
  });
  await service.addUser(ann.email, ann.password);
  signingKey = await activeKey(service);
  sharing = await startTestService(
    { POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: sharedSecret },
    service.database,
  );
});
afterAll(async () => {
  await sharing.stop();
  await service.stop();
});

const nowSeconds = () => Math.floor(Date.now() / 1000);
const login = (on = service): Promise<Tokens> => account.login(on, ann.email, ann.password);

interface Claims {
  readonly iat: number;
  readonly exp: number;
  readonly [name: string]: unknown;
}

function partsOf(token: string): { header: string; claims: Claims } {
  const [header = '', claims = ''] = token.split('.').map(decode);
  return { header, claims: JSON.parse(claims) as Claims };
}

/** The same token with other claims, signed with the real key. */
function altered(token: string, change: (claims: Claims) => object): string {
  const { header, claims } = partsOf(token);
  return forge('ES256', header, json({ ...claims, ...change(claims) }), signingKey);
}

/** When the revocation expires, Unix time; null when there is none. */
async function revokedUntil(kind: string, id: unknown): Promise<number | null> {
  const [row] = await service.database.query(
    'SELECT extract(epoch FROM expires_at)::float8 AS until FROM revocations WHERE kind = $1 AND id = $2',
    [kind, id],
  );
  return (row?.['until'] as number | undefined) ?? null;
}

async function endOf(sessionId: string): Promise<unknown> {
  const [row] = await service.database.query('SELECT end_reason FROM sessions WHERE id = $1', [sessionId]);
  return row?.['end_reason'];
}

async function actorOf(targetId: string): Promise<string> {
  const [row] = await service.database.query(
    `SELECT actor_type || ' ' || actor_id AS actor FROM audit_events WHERE action = 'token.revoke' AND target_id = $1`,
    [targetId],
  );
  return String(row?.['actor']);
}

async function auditedFor(sessionId: string): Promise<number> {
  const rows = await service.database.query(
    `SELECT 1 FROM audit_events WHERE action = 'token.revoke' AND target_id = $1`,
    [sessionId],
  );
  return rows.length;
}

describe('S11 a token that is refused here but may be valid elsewhere is revoked all the same', () => {
  test.each<[string, string, (claims: Claims) => object]>([
    [
      'its iat is in the future by this clock',
      'TOKEN_NOT_YET_VALID',
      ({ exp }) => ({ iat: nowSeconds() + 60, exp: exp + 60 }),
    ],
    ['its nbf is in the future', 'TOKEN_NOT_YET_VALID', () => ({ nbf: nowSeconds() + 60 })],
    ['another instance has its audience', 'TOKEN_CLAIMS_INVALID', () => ({ aud: 'elsewhere' })],
    ['another instance allows its lifetime', 'TOKEN_CLAIMS_INVALID', ({ exp }) => ({ exp: exp + 3_600 })],
    ['another instance has its issuer', 'TOKEN_CLAIMS_INVALID', () => ({ iss: 'https://auth.example' })],
    [
      'it has expired by this clock, but perhaps not by others',
      'TOKEN_EXPIRED',
      () => ({
        iat: nowSeconds() - 610,
        exp: nowSeconds() - 10,
      }),
    ],
  ])('%s', async (_name, refusedAs, change) => {
    const tokens = await login();
    const token = altered(tokens.access_token, change);
    expect(await account.verdict(service, token)).toBe(refusedAs);
    expect(await account.revoke(service, token)).toBe('OK');
    expect(await endOf(tokens.session_id)).toBe('revoked');
    expect(await revokedUntil('sid', tokens.session_id)).toBeGreaterThanOrEqual(
      partsOf(token).claims.exp + 120,
    );
    expect(await account.verdict(service, tokens.access_token)).toBe('TOKEN_REVOKED');
  });
});

describe('S11 an invalid or long expired token ends nothing', () => {
  test.each<[string, (token: string) => string]>([
    [
      'the signature of another token',
      (token) => {
        const [header = '', , signature = ''] = token.split('.');
        const { claims } = partsOf(token);
        return [header, encode(json({ ...claims, roles: ['admin'] })), signature].join('.');
      },
    ],
    ['long expired', (token) => altered(token, ({ iat, exp }) => ({ iat: iat - 3_600, exp: exp - 3_600 }))],
    ['claims that no instance accepts', (token) => altered(token, () => ({ sub: 7 }))],
    ['cut short', (token) => token.slice(0, -10)],
  ])('%s', async (_name, spoil) => {
    const tokens = await login();
    expect(await account.revoke(service, spoil(tokens.access_token))).toBe('OK');
    expect(await endOf(tokens.session_id)).toBeNull();
    expect(await account.verdict(service, tokens.access_token)).toBe('OK');
  });

  test('a token that is already revoked is not recorded again', async () => {
    const tokens = await login();
    for (let times = 0; times < 3; times += 1) {
      expect(await account.revoke(service, tokens.access_token)).toBe('OK');
    }
    expect(await auditedFor(tokens.session_id)).toBe(1);
  });
});

test.each<[string, (token: string) => Promise<string>]>([
  [
    'has expired',
    (token) => Promise.resolve(altered(token, () => ({ iat: nowSeconds() - 610, exp: nowSeconds() - 10 }))),
  ],
  [
    'was revoked',
    async (token) => {
      await account.revoke(service, token);
      // Valid for longer than the revocation, so that the token is checked again.
      return altered(token, ({ exp }) => ({ exp: exp + 300 }));
    },
  ],
])('S11 a token that %s cannot end all sessions', async (_name, spoil) => {
  const [old, other] = [await login(), await login()];
  expect(await account.revoke(service, await spoil(old.access_token), true)).toBe('OK');
  expect(await endOf(old.session_id)).toBe('revoked');
  expect(await account.verdict(service, other.access_token)).toBe('OK');
});

describe('S11 tokens of programs that share the secret', () => {
  const sign = (claims: object) =>
    forge('HS256', json({ alg: 'HS256', typ: 'at+jwt' }), json(claims), secretKey(sharedSecret));
  const shared = (more: object) => ({
    iss: 'http://127.0.0.1:8080',
    sub: 'a-user',
    aud: 'postern',
    iat: nowSeconds(),
    exp: nowSeconds() + 86_400,
    ...more,
  });

  test('a token that outlives its Postern session is revoked until the token expires', async () => {
    const { session_id: sid } = await login(sharing);
    const claims = shared({ sid });
    const token = sign(claims);
    expect(await account.verdict(sharing, token)).toBe('OK');
    expect(await account.revoke(sharing, token)).toBe('OK');
    expect(await account.verdict(sharing, token)).toBe('TOKEN_REVOKED');
    expect(await revokedUntil('sid', sid)).toBeGreaterThanOrEqual(claims.exp + 120);
    expect(await auditedFor(sid)).toBe(1);
  });

  test('so is a token presented after its session has ended', async () => {
    const tokens = await login(sharing);
    const claims = shared({ sid: tokens.session_id });
    expect(await account.revoke(sharing, tokens.refresh_token)).toBe('OK');
    expect(await account.revoke(sharing, sign(claims))).toBe('OK');
    expect(await revokedUntil('sid', tokens.session_id)).toBeGreaterThanOrEqual(claims.exp + 120);
  });

  test('a token with a foreign session or none is revoked alone', async () => {
    for (const name of [{ sid: `theirs-${randomUUID()}` }, { jti: randomUUID() }]) {
      const token = sign(shared(name));
      expect(await account.revoke(sharing, token)).toBe('OK');
      expect(await account.verdict(sharing, token)).toBe('TOKEN_REVOKED');
    }
  });

  test('a token of another issuer does not end sessions: its subject may be another user', async () => {
    const tokens = await login(sharing);
    const token = sign(shared({ iss: 'https://other.example', sub: tokens.user_id, jti: randomUUID() }));
    expect(await account.revoke(sharing, token, true)).toBe('OK');
    expect(await account.verdict(sharing, tokens.access_token)).toBe('OK');
  });

  test('a token without jti and sid cannot be revoked, and the answer says so', async () => {
    const token = sign(shared({}));
    const outcome = await sharing.call('postern.v1.AuthService/RevokeToken', { token });
    expect([outcome.code, outcome.reason]).toEqual([status.INVALID_ARGUMENT, 'FIELD_INVALID']);
    expect(await account.verdict(sharing, token)).toBe('OK');
  });

  test('one of an earlier login ends by its jti, and its user is the actor', async () => {
    const jti = `old-${randomUUID()}`;
    const claims = { sub: 7, scp: 'user', aud: null, jti, exp: nowSeconds() + 600 };
    const token = forge('HS256', json({ alg: 'HS256' }), json(claims), secretKey(legacySecret));
    expect(await account.verdict(service, token)).toBe('OK');
    expect(await account.revoke(service, token, true)).toBe('OK');
    expect(await account.verdict(service, token)).toBe('TOKEN_REVOKED');
    expect(await revokedUntil('jti', jti)).toBeGreaterThanOrEqual(claims.exp + 120);
    expect(await actorOf(jti)).toBe('user 7');
  });

  test('nor can one of the time before Postern without a jti', async () => {
    const legacy = (exp: number) =>
      forge('HS256', json({ alg: 'HS256', typ: 'JWT' }), json({ user_id: 7, exp }), secretKey(legacySecret));
    const token = legacy(nowSeconds() + 600);
    expect(await account.verdict(service, token)).toBe('OK');
    expect(await account.revoke(service, token)).toBe('FIELD_INVALID');
    expect(await account.revoke(service, legacy(nowSeconds() - 600))).toBe('OK');
  });
});
