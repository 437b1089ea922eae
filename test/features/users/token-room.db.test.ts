import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { account, type Tokens } from '../../support/account.ts';
import { callerPassword } from '../../support/callers.ts';
import { type Message, startTestService, type TestService } from '../../support/test-service.ts';

const email = 'long@example.com';
const roles = Array.from({ length: 16 }, (_, index) => `role-${String(index).padStart(2, '0')}`);
/** JSON writes each of these characters as two. */
const externalId = '"'.repeat(255);

let before: TestService;
let after: TestService;
beforeAll(async () => {
  before = await startTestService();
  await before.addUser('admin@example.com', callerPassword, ['admin']);
  after = await startTestService(
    { POSTERN_ISSUER: 'https://auth.example/'.padEnd(128, 'i') },
    before.database,
  );
});
afterAll(async () => {
  await after.stop();
  await before.stop();
});

async function adminCall(service: TestService, method: string, request: Message) {
  const token = await service.tokenOf('admin@example.com', callerPassword);
  return service.call(`postern.v1.AdminService/${method}`, request, { authorization: `Bearer ${token}` });
}

async function sessions(): Promise<number> {
  const [row] = await before.database.query(
    'SELECT count(*)::int AS count FROM sessions JOIN users ON users.id = user_id WHERE email = $1',
    [email],
  );
  return row?.['count'] as number;
}

test('T26 a user whose claims fit no more after a change of the issuer is refused with a reason, and keeps the session', async () => {
  const user = { email, password: callerPassword, roles, external_id: externalId };
  const created = await adminCall(before, 'CreateUser', user);
  expect(created.response).toMatchObject({ external_id: externalId });
  const tokens: Tokens = await account.login(before, email, callerPassword);

  const refused = [
    await after.call('postern.v1.AuthService/Login', { email, password: callerPassword }),
    await account.tryRefresh(after, tokens.refresh_token),
  ];
  for (const { code, reason, message } of refused) {
    expect([code, reason]).toEqual([status.FAILED_PRECONDITION, 'CLAIMS_TOO_LONG']);
    expect(message).toMatch(/do not fit into an access token of 1536 bytes; an administrator must/);
  }
  expect(await sessions()).toBe(1);

  // Within the grace time the refused refresh can be repeated, under the old settings here.
  const refreshed = await account.refresh(before, tokens.refresh_token);
  expect(refreshed.session_id).toBe(tokens.session_id);

  await adminCall(after, 'UpdateUser', { user_id: tokens.user_id, roles: { roles: ['role-00'] } });
  const again = await account.login(after, email, callerPassword);
  expect(again.access_token.length).toBeLessThanOrEqual(1536);
});

test('T26 more roles than fit beside the external id are refused when they are given, not at the login', async () => {
  const crowded = await startTestService(
    { POSTERN_ALGORITHM: 'RS256', POSTERN_ISSUER: 'https://auth.example/'.padEnd(128, 'i') },
    before.database,
  );
  try {
    const call = (method: string, request: Message) => adminCall(crowded, method, request);
    const long = { email: 'longest@example.com', password: callerPassword, external_id: 'x'.repeat(255) };
    const roles = Array.from({ length: 12 }, (_, index) => `role-number-${index}`);
    const refused = await call('CreateUser', { ...long, roles });
    expect(refused).toMatchObject({
      reason: 'FIELD_INVALID',
      message: expect.stringMatching(/^external_id: .*fewer roles/),
    });
    const made = await call('CreateUser', long);
    const user_id = made.response?.['id'];
    expect((await crowded.tokenOf('longest@example.com', callerPassword)).length).toBeLessThanOrEqual(1536);
    const more = await call('UpdateUser', { user_id, roles: { roles } });
    expect(more).toMatchObject({
      reason: 'FIELD_INVALID',
      message: expect.stringMatching(/^roles: .*fewer roles/),
    });
  } finally {
    await crowded.stop();
  }
});
