import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { account, type Tokens } from '../support/account.ts';
import { addTotp, totpOf } from '../support/second-factors.ts';
import { forgetAuthentication } from '../support/session-level.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const password = 'correct horse battery';
let service: TestService;
let email: string;
let count = 0;

beforeAll(async () => {
  service = await startTestService({ POSTERN_SECOND_FACTOR_ROLES: 'admin' });
});
beforeEach(async () => {
  count += 1;
  email = `eve${count}@example.com`;
  await service.addUser(email, password, ['admin', 'reader']);
});
afterAll(() => service.stop());

async function levelOf(access_token: string) {
  const { response } = await service.call('postern.v1.AuthService/VerifyToken', { access_token });
  const { acr, amr, authenticated_at, roles } = response ?? {};
  return { acr, amr, authenticated_at, roles };
}
const levelAfterRefresh = async ({ refresh_token }: Tokens) =>
  levelOf((await account.refresh(service, refresh_token)).access_token);

/** What is known of a session whose row says nothing that the service has signed. */
const unknown = { acr: 'aal1', amr: [], authenticated_at: null, roles: ['reader'] };

/** A session of level `aal2`, of the same user or of another one. */
async function raised(ownEmail: string): Promise<Tokens & { readonly recoveryCodes: readonly string[] }> {
  const { access_token } = await account.login(service, ownEmail, password);
  const { secret, recoveryCodes } = await addTotp(service, access_token);
  return { ...(await loginWith(ownEmail, totpOf(secret))), recoveryCodes };
}
async function loginWith(ownEmail: string, code: string): Promise<Tokens> {
  const request = { email: ownEmail, password, code };
  const { response, message } = await service.call('postern.v1.AuthService/Login', request);
  if (!response) throw new Error(message);
  return response as unknown as Tokens;
}

describe('M25 a database writer cannot raise a session', () => {
  test.each([
    `UPDATE sessions SET acr = 'aal2' WHERE id = $1`,
    `UPDATE sessions SET acr = 'aal2', amr = '{pwd,otp}' WHERE id = $1`,
    `UPDATE sessions SET amr = '{pwd,otp}' WHERE id = $1`,
    `UPDATE sessions SET authenticated_at = now() + interval '1 hour' WHERE id = $1`,
    `UPDATE sessions SET acr = 'aal2', authentication_mac = '\\x' WHERE id = $1`,
    `UPDATE sessions SET acr = 'aal2', authentication_mac = NULL WHERE id = $1`,
  ])('%s', async (statement) => {
    const tokens = await account.login(service, email, password);
    await service.database.query(statement, [tokens.session_id]);
    expect(await levelAfterRefresh(tokens)).toEqual(unknown);
  });

  test('the columns of another session are of no use, of the same user or not', async () => {
    const other = `mallory${count}@example.com`;
    await service.addUser(other, password);
    const foreign = await raised(other);
    const one = await raised(email);
    const two = await loginWith(email, one.recoveryCodes[0] ?? '');
    let { refresh_token } = two;
    for (const from of [foreign, one]) {
      await service.database.query(
        `UPDATE sessions t SET acr = s.acr, amr = s.amr, authenticated_at = s.authenticated_at,
                authentication_mac = s.authentication_mac FROM sessions s WHERE t.id = $1 AND s.id = $2`,
        [two.session_id, from.session_id],
      );
      const next = await account.refresh(service, refresh_token);
      ({ refresh_token } = next);
      expect(await levelOf(next.access_token)).toEqual(unknown);
    }
  });

  test('what the service has stored itself counts', async () => {
    const level = await levelAfterRefresh(await raised(email));
    expect(level).toMatchObject({ acr: 'aal2', amr: ['pwd', 'otp'], roles: ['admin', 'reader'] });
    expect(level.authenticated_at).not.toBeNull();
  });
});

test('M26 a session of a release before second factors goes on at aal1, without auth_time', async () => {
  const tokens = await account.login(service, email, password);
  await forgetAuthentication(service.database, tokens.session_id);
  expect(await levelAfterRefresh(tokens)).toEqual(unknown);
});
