import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import {
  addPasskey,
  assertionOf,
  beginLogin,
  passkeyEnvironment,
  PASSKEY_ORIGIN,
  reasonOf,
} from '../../../support/passkeys.ts';
import { SoftwareAuthenticator } from '../../../support/software-authenticator.ts';
import { type Message, startTestService, type TestService } from '../../../support/test-service.ts';
import { untilBlocked } from '../../../support/until-blocked.ts';

const password = 'correct horse battery';
let service: TestService;
let userId: string;
let factorId: string;
let assertion: Message;
let count = 0;

beforeAll(async () => {
  service = await startTestService(passkeyEnvironment);
});
beforeEach(async () => {
  count += 1;
  const email = `hedy${count}@example.com`;
  userId = await service.addUser(email, password);
  const authenticator = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
  ({ factorId } = await addPasskey(service, await service.tokenOf(email, password), authenticator));
  assertion = assertionOf(authenticator, await beginLogin(service));
});
afterAll(() => service.stop());

const login = () => service.call('postern.v1.AuthService/LoginWithPasskey', assertion);
const liveSessions = async () => {
  const sql = 'SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL';
  return (await service.database.query(sql, [userId])).length;
};

/** Logs in while another transaction has the lock on the user, and lets that one change something before it commits. */
async function loginWhile(sql: string, id: string) {
  const { answer } = await service.database.database.unlimited(async (trx) => {
    await trx.raw('SELECT FROM users WHERE id = ? FOR NO KEY UPDATE', [userId]);
    const waiting = login();
    await untilBlocked(service.database, waiting);
    await trx.raw(sql, [id]);
    return { answer: waiting };
  });
  return answer;
}

test('M18 refuses a user who is disabled while the passkey is checked, and opens no session', async () => {
  const before = await liveSessions();
  const answer = await loginWhile('UPDATE users SET disabled_at = now() WHERE id = ?', userId);
  expect(reasonOf(answer)).toBe('PASSKEY_INVALID');
  expect(await liveSessions()).toBe(before);
  // The answer was not used up.
  await service.database.query('UPDATE users SET disabled_at = NULL WHERE id = $1', [userId]);
  expect(reasonOf(await login())).toBe('OK');
});

test('M18 refuses a passkey that is deleted while it is checked, and opens no session', async () => {
  const before = await liveSessions();
  expect(reasonOf(await loginWhile('DELETE FROM factors WHERE id = ?', factorId))).toBe('PASSKEY_INVALID');
  expect(await liveSessions()).toBe(before);
});

test('M20 refuses a passkey that is changed while it is checked', async () => {
  const answer = await loginWhile("UPDATE factors SET mac = '\\x00' WHERE id = ?", factorId);
  expect(reasonOf(answer)).toBe('PASSKEY_INVALID');
});

test('M13 a passkey does not depend on the password, also one that changes meanwhile', async () => {
  const answer = await loginWhile("UPDATE users SET password_hash = 'changed' WHERE id = ?", userId);
  expect(reasonOf(answer)).toBe('OK');
});

test('M13 logs in a user without a password', async () => {
  await service.database.query('UPDATE users SET password_hash = NULL WHERE id = $1', [userId]);
  expect(reasonOf(await login())).toBe('OK');
});
