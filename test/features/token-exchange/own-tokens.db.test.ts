import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { account, verdictOf } from '../../support/account.ts';
import { type AdminFixture, type Credentials, openAdminFixture } from '../../support/admin-fixture.ts';
import { serviceToken } from '../../support/callers.ts';
import { runHere } from '../../support/run-here.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { testCall } from '../../support/test-call.ts';
import { untilBlocked } from '../../support/until-blocked.ts';
import {
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';

const password = 'correct horse battery';
const audiences = { POSTERN_AUDIENCE: 'postern,orders,billing,ledger' };
let database: TestDatabase;
let service: TestService;
let second: TestService;
let fixture: AdminFixture;
let orders: Credentials;
let billing: Credentials;
beforeAll(async () => {
  database = await createTestDatabase();
  [service, second] = await Promise.all([
    startTestService(audiences, database),
    startTestService(audiences, database),
  ]);
  fixture = await openAdminFixture(database);
  await service.addUser('ann@example.com', password, ['reader', 'writer']);
  orders = await actingService('orders', ['orders'], ['billing']);
  billing = await actingService('billing', ['billing'], ['ledger']);
});
afterAll(async () => {
  await Promise.all([service.stop(), second.stop()]);
  await database.drop();
});

async function actingService(name: string, own: string[], towards: string[]): Promise<Credentials> {
  const made = await fixture.createService(name, ['machine']);
  await allow(made.id, own, towards);
  return made;
}
const allow = (id: string, own: string[], towards: string[]) =>
  database.query('UPDATE service_accounts SET own_audiences = $2, delegation_audiences = $3 WHERE id = $1', [
    id,
    own,
    towards,
  ]);
const exchange = (
  subject_token: string,
  more: Message = {},
  metadata: Record<string, string> = {},
  at = service,
): Promise<Outcome> => at.call('postern.v1.AuthService/ExchangeToken', { subject_token, ...more }, metadata);
function tokenIn(outcome: Outcome): string {
  if (!outcome.response) throw new Error(`${verdictOf(outcome)}: ${outcome.message}`);
  return String(outcome.response['access_token']);
}
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
const login = (audience = '', email = 'ann@example.com') => service.tokenOf(email, password, audience);
const actorToken = (of: Credentials) => serviceToken(service, of);
/** A user's token as it arrives at `orders`, and what `orders` sends on to `billing`. */
async function delegated(subject?: string): Promise<string> {
  const token = subject ?? (await login('orders'));
  return tokenIn(await exchange(token, { actor_token: await actorToken(orders), audience: 'billing' }));
}
/** Repeats until the verdict is the expected one, for as long as a revocation may take to arrive. */
async function becomes(expected: string, token: string, at: TestService): Promise<void> {
  const untilMs = Date.now() + 60_000;
  while ((await account.verdict(at, token)) !== expected && Date.now() < untilMs);
  expect(await account.verdict(at, token)).toBe(expected);
}

describe('G01 a narrower token', () => {
  test('has one audience, fewer roles, the same session, and no longer life', async () => {
    const token = await login();
    const { sub, sid, exp } = claimsOf(token);
    const outcome = await exchange(token, { audience: 'billing', roles: ['reader'] });
    expect(outcome.response).toMatchObject({
      token_type: 'bearer',
      refresh_token: '',
      session_id: sid,
      user_id: sub,
    });
    const claims = claimsOf(tokenIn(outcome));
    expect(claims).toMatchObject({ sub, sid, aud: 'billing', roles: ['reader'], client_id: 'exchange' });
    expect(claims['act']).toBeUndefined();
    expect(Number(claims['exp'])).toBeLessThanOrEqual(Number(exp));
    const short = claimsOf(tokenIn(await exchange(token, { lifetime: 30 })));
    expect(Number(short['exp']) - Number(short['iat'])).toBe(30);
    // What was taken away does not come back.
    const narrow = tokenIn(outcome);
    expect(await account.verdict(service, narrow)).toBe('OK');
    for (const more of [{ roles: ['writer'] }, { audience: 'postern' }, { audience: 'ledger' }])
      expect(verdictOf(await exchange(narrow, more))).toBe('EXCHANGE_NOT_ALLOWED');
    expect(claimsOf(tokenIn(await exchange(narrow, { lifetime: 2 ** 31 })))['exp']).toBe(claims['exp']);
  });

  test('of a service keeps its name', async () => {
    const token = await serviceToken(service, orders);
    const claims = claimsOf(tokenIn(await exchange(token, {}, { authorization: `Bearer ${token}` })));
    expect(claims).toMatchObject({
      sub: orders.id,
      name: 'orders',
      client_id: 'exchange',
      roles: ['machine'],
    });
    expect(claims).not.toHaveProperty('sid');
  });

  test.each<[string, Message, string]>([
    ['an unknown audience', { audience: 'nowhere' }, 'FIELD_INVALID'],
    ['a role that the subject lacks', { roles: ['admin'] }, 'EXCHANGE_NOT_ALLOWED'],
    ['a role that is none', { roles: ['\u0000'] }, 'FIELD_INVALID'],
    ['no lifetime', { lifetime: 0 }, 'FIELD_INVALID'],
    ['a service account', { service_account: 'orders' }, 'FIELD_INVALID'],
  ])('%s is refused', async (_name, more, reason) => {
    expect(verdictOf(await exchange(await login(), more))).toBe(reason);
  });

  test('a token that VerifyToken refuses is refused alike', async () => {
    const token = await login();
    const [header, claims, signature] = token.split('.');
    expect(verdictOf(await exchange(`${header}.${claims}.${'A'.repeat(signature?.length ?? 0)}`))).toBe(
      'TOKEN_SIGNATURE_INVALID',
    );
    await account.revoke(service, token);
    expect(verdictOf(await exchange(token))).toBe('TOKEN_REVOKED');
    // The other instance may not have read the revocation yet; the database has it.
    expect(verdictOf(await exchange(token, {}, {}, second))).toBe('TOKEN_REVOKED');
  });
});

describe('G03 delegation', () => {
  test("a user's call through two services names both, in the token and in the audit trail (G09)", async () => {
    const first = await delegated();
    const outcome = await exchange(
      first,
      { audience: 'ledger', roles: ['reader'] },
      { authorization: `Bearer ${await actorToken(billing)}` },
    );
    const claims = claimsOf(tokenIn(outcome));
    const act = { sub: billing.id, name: 'billing', act: { sub: orders.id, name: 'orders' } };
    const { sub, sid } = claimsOf(first);
    expect(claims).toMatchObject({ sub, sid, aud: 'ledger', roles: ['reader'], client_id: billing.id, act });
    const { response } = await service.call('postern.v1.AuthService/VerifyToken', {
      access_token: tokenIn(outcome),
    });
    expect(response).toMatchObject({
      subject: sub,
      subject_type: 'USER',
      actor: {
        subject: billing.id,
        name: 'billing',
        actor: { subject: orders.id, name: 'orders', actor: null },
      },
    });
    const events = await database.query(
      `SELECT actor_type, actor_id, details FROM audit_events WHERE action = 'token.exchange' AND target_id = $1`,
      [claims['jti']],
    );
    expect(events).toEqual([
      {
        actor_type: 'service',
        actor_id: billing.id,
        details: expect.objectContaining({ subject: sub, session: sid, actors: [billing.id, orders.id] }),
      },
    ]);
    await account.revoke(service, tokenIn(outcome));
    const environment = { DATABASE_URL: database.url };
    const { stdout } = await runHere(['audit', 'list', '--target', String(claims['jti'])], { environment });
    expect(stdout).toContain(`service ${billing.id} for ${orders.id} for ${String(sub)}`);
    expect(stdout).toContain(`user ${String(sub)} through ${billing.id}, ${orders.id}`);
  });

  test('lasts five minutes at most', async () => {
    const { iat, exp } = claimsOf(await delegated()) as { iat: number; exp: number };
    expect(exp - iat).toBeLessThanOrEqual(300);
    expect(exp - iat).toBeGreaterThan(240);
  });

  test('a refused one is recorded with who asked and for whom', async () => {
    const last = () =>
      database.query(
        `SELECT actor_id, target_id, reason FROM audit_events
         WHERE action = 'token.exchange' AND outcome = 'refused' ORDER BY id DESC LIMIT 1`,
      );
    const subject = await login('ledger');
    const { sub } = claimsOf(subject);
    const outcome = await exchange(subject, { actor_token: await actorToken(orders), audience: 'billing' });
    expect([outcome.code, outcome.reason]).toEqual([status.PERMISSION_DENIED, 'EXCHANGE_NOT_ALLOWED']);
    expect(await last()).toEqual([{ actor_id: orders.id, target_id: sub, reason: 'EXCHANGE_NOT_ALLOWED' }]);
    expect(verdictOf(await exchange(subject, { roles: ['admin'] }))).toBe('EXCHANGE_NOT_ALLOWED');
    expect(await last()).toEqual([{ actor_id: sub, target_id: sub, reason: 'EXCHANGE_NOT_ALLOWED' }]);
  });

  test('the actor comes from one place, and is never lost', async () => {
    const subject = await login('orders');
    const acting = `Bearer ${await actorToken(orders)}`;
    const towards = { audience: 'billing' };
    const both = { ...towards, actor_token: await actorToken(orders) };
    expect(verdictOf(await exchange(subject, both, { authorization: acting }))).toBe('FIELD_INVALID');
    // Interceptors of clients send the caller's own token with every call.
    const same = await exchange(subject, {}, { authorization: `Bearer ${subject}` });
    expect(claimsOf(tokenIn(same))['act']).toBeUndefined();
    const newer = await exchange(subject, {}, { authorization: `Bearer ${await login()}` });
    expect(claimsOf(tokenIn(newer))['act']).toBeUndefined();
    await service.addUser('bob@example.com', password);
    const others = { authorization: `Bearer ${await login('', 'bob@example.com')}` };
    expect(verdictOf(await exchange(subject, {}, others))).toBe('EXCHANGE_NOT_ALLOWED');
    expect(verdictOf(await exchange(subject, {}, { authorization: 'Bearer junk' }))).toBe('TOKEN_MALFORMED');
    expect(verdictOf(await exchange(subject, {}, { authorization: 'Basic eDp5' }))).toBe(
      'CREDENTIALS_MISSING',
    );
  });
});

describe('G06 what ends a derived token', () => {
  test('RevokeToken of it ends it alone, and never all sessions', async () => {
    const { access_token, session_id } = await account.login(service, 'ann@example.com', password);
    const narrow = tokenIn(await exchange(access_token));
    expect(await account.revoke(service, narrow, true)).toBe('CREDENTIAL_NOT_ALLOWED');
    expect(await account.verdict(service, narrow)).toBe('OK');
    expect(await account.revoke(service, narrow)).toBe('OK');
    expect(await account.verdict(service, narrow)).toBe('TOKEN_REVOKED');
    expect(await account.verdict(service, access_token)).toBe('OK');
    expect(claimsOf(narrow)['sid']).toBe(session_id);
    expect(verdictOf(await exchange(narrow, {}, {}, second))).toBe('TOKEN_REVOKED');
    const acted = await delegated();
    expect(await account.revoke(service, acted, true)).toBe('CREDENTIAL_NOT_ALLOWED');
    expect(await account.revoke(service, acted)).toBe('OK');
    await becomes('TOKEN_REVOKED', acted, second);
  });

  test('a logout and new roles end every token that came from the session', async () => {
    const token = await login('orders');
    const derived = [await delegated(token), tokenIn(await exchange(token))];
    await account.revoke(service, token);
    for (const each of derived) {
      expect(await account.verdict(service, each)).toBe('TOKEN_REVOKED');
      await becomes('TOKEN_REVOKED', each, second);
    }
    const id = await service.addUser('eve@example.com', password, ['reader']);
    await service.addUser('root@example.com', password, ['admin']);
    const acted = await delegated(await login('orders', 'eve@example.com'));
    const { code } = await service.call(
      'postern.v1.AdminService/UpdateUser',
      { user_id: id, roles: { roles: [] } },
      { authorization: `Bearer ${await login('', 'root@example.com')}` },
    );
    expect(code).toBe(status.OK);
    expect(await account.verdict(service, acted)).toBe('TOKEN_REVOKED');
  });
});

test('G07 a token that becomes too long is refused before anything is recorded', async () => {
  const rsa = await startTestService({ ...audiences, POSTERN_ALGORITHM: 'RS256' });
  try {
    const admin = await openAdminFixture(rsa.database);
    const roles = Array.from({ length: 16 }, (_, index) => `role-${index}`.padEnd(10, 'r'));
    await rsa.addUser('ann@example.com', password, roles);
    let token = await rsa.tokenOf('ann@example.com', password, 'orders');
    const outcomes: string[] = [];
    for (const index of [1, 2, 3, 4]) {
      const made = await admin.createService(`${index}${'n'.repeat(60)}`.slice(0, 60));
      await rsa.database.query(
        `UPDATE service_accounts SET own_audiences = '{orders}', delegation_audiences = '{orders}' WHERE id = $1`,
        [made.id],
      );
      const actor_token = await serviceToken(rsa, made);
      const before = await rsa.database.query('SELECT id FROM service_tokens');
      const outcome = await rsa.call('postern.v1.AuthService/ExchangeToken', {
        subject_token: token,
        actor_token,
      });
      outcomes.push(verdictOf(outcome));
      if (outcome.response) token = tokenIn(outcome);
      else expect(await rsa.database.query('SELECT id FROM service_tokens')).toHaveLength(before.length);
      expect(token.length).toBeLessThanOrEqual(1536);
    }
    expect(outcomes).toContain('CLAIMS_TOO_LONG');
    expect(outcomes).not.toContain('INTERNAL');
  } finally {
    await rsa.stop();
  }
});

describe('G08 what ends during an exchange at another instance', () => {
  /** Runs an exchange at the second instance that must wait for `change`, which commits afterwards. */
  async function during(change: string, values: unknown[], start: () => Promise<Outcome>): Promise<Outcome> {
    let running: Promise<Outcome> | undefined;
    await database.database.transaction(testCall(), async (trx) => {
      await trx.raw(change, values as never);
      running = start();
      await untilBlocked(database, running);
    });
    return running as unknown as Promise<Outcome>;
  }

  test('an actor that is deleted, or may not act any more', async () => {
    const acting = await actingService('passing', ['orders'], ['billing']);
    const actor_token = await actorToken(acting);
    const subject = await login('orders');
    const start = () => exchange(subject, { actor_token, audience: 'billing' }, {}, second);
    expect(verdictOf(await start())).toBe('OK');
    const removed = await during(
      `UPDATE service_accounts SET delegation_audiences = '{}' WHERE id = ?`,
      [acting.id],
      start,
    );
    expect(verdictOf(removed)).toBe('EXCHANGE_NOT_ALLOWED');
    await allow(acting.id, ['orders'], ['billing']);
    const deleted = await during('DELETE FROM service_accounts WHERE id = ?', [acting.id], start);
    expect(verdictOf(deleted)).toBe('TOKEN_REVOKED');
  });

  test('a session that ends: the exchange is refused, or its token ends with the session', async () => {
    const verdicts = new Set<string>();
    for (let round = 0; round < 8; round++) {
      const token = await login();
      const [outcomes] = await Promise.all([
        Promise.all(Array.from({ length: 6 }, () => exchange(token, {}, {}, second))),
        account.revoke(service, token),
      ]);
      for (const outcome of outcomes) {
        verdicts.add(verdictOf(outcome));
        if (outcome.response) await becomes('TOKEN_REVOKED', tokenIn(outcome), second);
      }
      expect(verdictOf(await exchange(token, {}, {}, second))).toBe('TOKEN_REVOKED');
    }
    expect([...verdicts].every((verdict) => ['OK', 'TOKEN_REVOKED'].includes(verdict))).toBe(true);
  });
});
