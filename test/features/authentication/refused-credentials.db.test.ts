import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { canonicalEmail } from '../../../src/features/users/email.ts';
import { auditRateLimits } from '../../../src/features/audit/audit-rate-limiter.ts';
import { account } from '../../support/account.ts';
import { openAdminFixture, type AdminFixture } from '../../support/admin-fixture.ts';
import { startTestService, type TestService } from '../../support/test-service.ts';

const password = 'correct horse battery';
let service: TestService;
let fixture: AdminFixture;
let ann: string;
beforeAll(async () => {
  service = await startTestService({ POSTERN_TRUSTED_PROXIES: '127.0.0.0/8', POSTERN_REFRESH_GRACE: '0s' });
  fixture = await openAdminFixture(service.database);
  ann = await service.addUser('ann@example.com', password);
});
afterAll(() => service.stop());

let calls = 0;
/** Makes a call. Returns its reason, its audit events, and its log fields beyond the usual ones. */
async function traced(
  method: string,
  request: Record<string, unknown>,
  metadata: Record<string, string> = {},
) {
  const id = `refused-${(calls += 1)}`;
  const { reason } = await service.call(`postern.v1.AuthService/${method}`, request, {
    ...metadata,
    'x-request-id': id,
  });
  const events = await service.database.query(
    `SELECT action, outcome, reason, actor_type, target_id, host(client_address) AS address, details
     FROM audit_events WHERE request_id = $1`,
    [id],
  );
  const lines = service.logLines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { reason, events, lines: lines.filter(({ request_id }) => request_id === id) };
}
const login = (email: string, typed: string, address = '192.0.2.1') =>
  traced('Login', { email, password: typed, client: { address } });
const keyedHash = expect.stringMatching(/^[0-9a-f]{16}$/);

test('O03 O05 a failed login leaves one audit event and one log line, with a keyed hash of the e-mail', async () => {
  const wrong = await login('ann@example.com', 'wrong horse battery');
  expect(wrong.events).toEqual([
    {
      action: 'login',
      outcome: 'refused',
      reason: 'INVALID_CREDENTIALS',
      actor_type: 'anonymous',
      target_id: ann,
      address: '192.0.2.1',
      details: { cause: 'wrong-password', account: keyedHash },
    },
  ]);
  const { account: hash } = wrong.events[0]?.['details'] as { account: string };
  expect(wrong.lines).toEqual([
    expect.objectContaining({ reason: 'INVALID_CREDENTIALS', detail: 'wrong-password', account: hash }),
  ]);
  const again = await login('ANN@example.com', 'wrong horse battery', '192.0.2.2');
  expect(again.events[0]?.['details']).toEqual({ cause: 'wrong-password', account: hash });

  const typo = 'my-password-in-the-wrong-field@example.com';
  const unknown = await login(typo, password);
  expect(unknown.events).toMatchObject([
    { target_id: null, details: { cause: 'unknown-user', account: keyedHash } },
  ]);
  expect(canonicalEmail(typo).ok).toBe(true);
  const everything = JSON.stringify(await service.database.query('SELECT * FROM audit_events'));
  expect([...service.logLines, everything].join('\n')).not.toMatch(/wrong-field|ann@example|horse battery/i);
});

test('O03 a throttled login has an audit event of its own', async () => {
  const tries = [];
  for (let n = 0; n < 6; n += 1) tries.push(await login('bob@example.com', 'wrong', '192.0.2.3'));
  const last = tries.at(-1);
  expect(last?.reason).toBe('LOGIN_RATE_LIMITED');
  expect(last?.events).toMatchObject([
    { action: 'login', outcome: 'refused', reason: 'LOGIN_RATE_LIMITED', details: { account: keyedHash } },
  ]);
  expect(last?.lines).toEqual([
    expect.objectContaining({ reason: 'LOGIN_RATE_LIMITED', account: keyedHash }),
  ]);
  expect(last?.events[0]?.['details']).toEqual({
    account: (tries[0]?.events[0]?.['details'] as { account: string }).account,
  });
});

test('S06 O03 refused refreshes: reuse and the end of the session are one event, later attempts another', async () => {
  const { refresh_token: first, session_id } = await account.login(service, 'ann@example.com', password);
  const { refresh_token: second } = await account.refresh(service, first);
  const reuse = await traced('RefreshToken', { refresh_token: first });
  expect(reuse.events).toMatchObject([{ action: 'token.reuse', outcome: 'refused', target_id: session_id }]);
  const after = await traced('RefreshToken', { refresh_token: second });
  expect(after.events).toMatchObject([
    { action: 'token.refresh', reason: 'REFRESH_TOKEN_REVOKED', actor_type: 'user', target_id: session_id },
  ]);
  const forged = `${second.slice(0, -4)}${second.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
  const bad = await traced('RefreshToken', { refresh_token: forged });
  expect(bad.reason).toBe('REFRESH_TOKEN_INVALID');
  const junk = await traced('RefreshToken', { refresh_token: 'prt_junk' });
  expect([junk.reason, junk.events]).toEqual(['REFRESH_TOKEN_INVALID', []]);
});

test('O03 refused service secrets, reset tokens and password changes leave audit events', async () => {
  const client = await fixture.createService('robot');
  const stranger = await fixture.createService('stranger');
  const secret = await traced('IssueServiceToken', { client_id: client.id, client_secret: stranger.secret });
  expect(secret.events).toMatchObject([
    { action: 'service.token', outcome: 'refused', target_id: client.id, details: { cause: 'wrong-secret' } },
  ]);
  const token = await fixture.resetFor('ann@example.com');
  await fixture.resetFor('ann@example.com');
  const reset = await traced('ResetPassword', { reset_token: token, new_password: 'a staple for the horse' });
  expect(reset.events).toMatchObject([
    { action: 'password.reset', reason: 'RESET_TOKEN_INVALID', details: { cause: 'unknown-or-old' } },
  ]);
  const authorization = `Bearer ${await service.tokenOf('ann@example.com', password)}`;
  const request = { current_password: 'wrong', new_password: 'a staple for the horse' };
  const change = await traced('ChangePassword', request, { authorization });
  expect(change.events).toMatchObject([
    { action: 'password.change', reason: 'INVALID_CREDENTIALS', actor_type: 'user', target_id: ann },
  ]);
  const policy = await traced(
    'ChangePassword',
    { current_password: password, new_password: 'short' },
    { authorization },
  );
  expect([policy.reason, policy.events]).toEqual(['PASSWORD_POLICY', []]);
});

test('a flood from one source neither fills the audit trail nor hides other sources, and the omitted number is recorded', async () => {
  const client = await fixture.createService('flooded');
  const guess = (await fixture.createService('guess')).secret;
  const count = async () =>
    Number((await service.database.query('SELECT count(*)::int AS n FROM audit_events'))[0]?.['n']);
  const before = await count();
  const issue = () =>
    service.call('postern.v1.AuthService/IssueServiceToken', { client_id: client.id, client_secret: guess });
  let refused = 0;
  // In batches, so that each call gets its connection in time.
  while (refused < auditRateLimits.perSource + 60) {
    const batch = await Promise.all(Array.from({ length: 20 }, issue));
    refused += batch.filter(({ reason }) => reason === 'INVALID_CREDENTIALS').length;
  }
  const written = (await count()) - before;
  expect(written).toBeLessThan(refused);
  expect(written).toBeGreaterThan(auditRateLimits.perSource / 2);
  const other = await login('carol@example.com', 'wrong', '198.51.100.9');
  expect(other.events[0]?.['details']).toMatchObject({ unwritten: refused - written });
});
