import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import {
  addTotp,
  errorMetadata,
  forgetUsedCodes,
  type TestFactor,
  totpOf,
  wrongTotpOf,
} from '../../support/second-factors.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import {
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';

const password = 'correct horse battery';
let database: TestDatabase;
let service: TestService;
let second: TestService;
let email: string;
let userId: string;
let factor: TestFactor;
let count = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  // Calls name their client, so that each can come from a source of its own that the throttle does not know.
  const forwarded = { POSTERN_TRUSTED_PROXIES: '127.0.0.0/8' };
  service = await startTestService(forwarded, database);
  second = await startTestService(forwarded, database);
});
beforeEach(async () => {
  count += 1;
  email = `hedy${count}@example.com`;
  userId = await service.addUser(email, password);
  factor = await addTotp(service, await service.tokenOf(email, password));
});
afterAll(async () => {
  await service.stop();
  await second.stop();
  await database.drop();
});

const login = (code = '', at = service, typed = password) =>
  at.call('postern.v1.AuthService/Login', { email, password: typed, code });
const verified = async (tokens: Message | undefined, at = service) => {
  const { response } = await at.call('postern.v1.AuthService/VerifyToken', {
    access_token: tokens?.['access_token'],
  });
  return response;
};
const reasonOf = ({ code, reason }: Outcome) => (code === status.OK ? 'OK' : reason);
/** The counters of failures in the login throttle: of the e-mail with the source, and of the e-mail. */
const throttled = async () => {
  const rows = await database.query('SELECT failures FROM login_throttle WHERE failures > 0');
  return rows.length;
};
const failures = async () => {
  const [row] = await database.query('SELECT failures FROM code_failures WHERE user_id = $1', [userId]);
  return row?.['failures'] ?? 0;
};
const events = (action: string) =>
  database.query('SELECT * FROM audit_events WHERE action = $1 AND target_id = $2 ORDER BY id', [
    action,
    userId,
  ]);
const sessions = async () => {
  const rows = await database.query('SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL', [
    userId,
  ]);
  return rows.length;
};
/** Logs in from many sources at once, at both instances in turn. */
const loginsAtOnce = (codes: readonly string[]) =>
  Promise.all(
    codes.map((code, index) =>
      (index % 2 === 0 ? service : second).call('postern.v1.AuthService/Login', {
        email,
        password,
        code,
        client: { address: `192.0.2.${index}` },
      }),
    ),
  );
/** Undoes what failed attempts have counted, so that a test is not throttled by the ones before. */
const forgetAttempts = () => database.query('DELETE FROM login_throttle');

test('M02 a user with a factor logs in with password and code, to level aal2', async () => {
  const { response } = await login(totpOf(factor.secret));
  const claims = await verified(response);
  expect(claims).toMatchObject({ acr: 'aal2', amr: ['pwd', 'otp'] });
  const [event] = await database.query(
    "SELECT details FROM audit_events WHERE action = 'login' AND target_id = $1",
    [response?.['session_id']],
  );
  expect(event?.['details']).toEqual({ amr: ['pwd', 'otp'] });
  const refreshed = await second.call('postern.v1.AuthService/RefreshToken', {
    refresh_token: response?.['refresh_token'],
  });
  expect(await verified(refreshed.response, second)).toMatchObject({
    acr: 'aal2',
    amr: ['pwd', 'otp'],
    authenticated_at: claims?.['authenticated_at'],
  });
});

test('M02 without a code the right password opens nothing and counts as no failure', async () => {
  await forgetAttempts();
  const before = await sessions();
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const refused = await login();
    expect([refused.code, refused.reason]).toEqual([status.UNAUTHENTICATED, 'SECOND_FACTOR_REQUIRED']);
    expect(refused.response).toBeUndefined();
    expect(errorMetadata(refused)).toEqual({ factors: 'totp,recovery' });
  }
  expect(await sessions()).toBe(before);
  const metrics = await (await fetch(`${service.httpUrl}/metrics`)).text();
  expect(metrics).toMatch(/postern_logins_total\{outcome="challenged"\} [1-9]/);
  expect((await login(totpOf(factor.secret))).code).toBe(status.OK);
});

test('M02 a wrong password is answered alike, whatever the code', async () => {
  for (const code of ['', '000000', totpOf(factor.secret), factor.recoveryCodes[0] ?? '']) {
    await forgetAttempts();
    const refused = await login(code, service, 'wrong horse battery');
    expect([refused.reason, errorMetadata(refused)]).toEqual(['INVALID_CREDENTIALS', {}]);
  }
  // Nothing was used up and nothing counted against the user.
  expect(await failures()).toBe(0);
  await forgetAttempts();
  expect((await login(totpOf(factor.secret))).code).toBe(status.OK);
  expect((await login(factor.recoveryCodes[0])).code).toBe(status.OK);
});

test('M02 the code of a user without a factor is ignored', async () => {
  const plain = `plain-${email}`;
  await service.addUser(plain, password);
  for (const code of ['000000', 'abcde-fghjk', 'what is this']) {
    const { response } = await service.call('postern.v1.AuthService/Login', { email: plain, password, code });
    expect(await verified(response)).toMatchObject({ acr: 'aal1', amr: ['pwd'] });
  }
  const tooLong = { email: plain, password, code: '1'.repeat(65) };
  expect((await service.call('postern.v1.AuthService/Login', tooLong)).reason).toBe('FIELD_INVALID');
});

test('M02 a wrong code is refused, counted by the throttle and for the user, and audited', async () => {
  await forgetAttempts();
  const refused = await login(wrongTotpOf(factor.secret));
  expect([refused.code, refused.reason]).toEqual([status.UNAUTHENTICATED, 'SECOND_FACTOR_INVALID']);
  expect([await throttled(), await failures()]).toEqual([2, 1]);
  const [event] = await database.query(
    "SELECT * FROM audit_events WHERE action = 'login' AND outcome = 'refused' AND target_id = $1",
    [userId],
  );
  expect(event).toMatchObject({ reason: 'SECOND_FACTOR_INVALID', details: { cause: 'wrong' } });
  // A text that can be no code is refused as well, and is no guess.
  expect((await login('12345')).reason).toBe('SECOND_FACTOR_INVALID');
  expect(await failures()).toBe(1);
});

test('M03 of 50 parallel uses of one code at two instances one is a login', async () => {
  const code = totpOf(factor.secret);
  const before = await sessions();
  const answers = await loginsAtOnce(Array<string>(50).fill(code));
  const reasons = answers.map(reasonOf);
  expect(reasons.filter((reason) => reason === 'OK')).toHaveLength(1);
  expect(new Set(reasons)).toEqual(new Set(['OK', 'SECOND_FACTOR_INVALID']));
  expect(await sessions()).toBe(before + 1);
});

test('M03 a code is refused after a newer one', async () => {
  expect((await login(totpOf(factor.secret, 1))).code).toBe(status.OK);
  for (const offset of [1, 0])
    expect((await login(totpOf(factor.secret, offset))).reason).toBe('SECOND_FACTOR_INVALID');
  const [event] = await database.query(
    "SELECT * FROM audit_events WHERE action = 'login' AND outcome = 'refused' AND target_id = $1",
    [userId],
  );
  expect(event).toMatchObject({ details: { cause: 'used' } });
});

test('M03 the code that confirmed a factor is used up', async () => {
  await database.query('UPDATE factors SET last_step = $2 WHERE id = $1', [
    factor.factorId,
    Math.floor(Date.now() / 30_000) + 1,
  ]);
  expect((await login(totpOf(factor.secret))).reason).toBe('SECOND_FACTOR_INVALID');
});

test('M04 each of ten recovery codes is one login, however many use it at once', async () => {
  expect(factor.recoveryCodes).toHaveLength(10);
  const [code = '', other = ''] = factor.recoveryCodes;
  const answers = await loginsAtOnce(Array<string>(20).fill(code));
  const opened = answers.filter((answer) => answer.code === status.OK);
  expect(opened).toHaveLength(1);
  expect(await verified(opened[0]?.response)).toMatchObject({ acr: 'aal2', amr: ['pwd', 'recovery'] });
  await forgetAttempts();
  const typed = ` ${other.toUpperCase().replace('-', ' ')}`;
  expect((await login(typed)).code).toBe(status.OK);
  expect((await login(code)).reason).toBe('SECOND_FACTOR_INVALID');
  const used = await events('recovery-code.use');
  expect(used.map(({ details }) => details)).toEqual([{ left: 9 }, { left: 8 }]);
});

test('M04 a recovery code of another user is refused', async () => {
  const { recoveryCodes } = factor;
  email = `other-${email}`;
  await service.addUser(email, password);
  const other = await addTotp(service, await service.tokenOf(email, password));
  expect((await login(recoveryCodes[0])).reason).toBe('SECOND_FACTOR_INVALID');
  expect((await login(other.recoveryCodes[0])).code).toBe(status.OK);
});

test('M05 after ten wrong codes in a day the right one is refused, and a recovery code is not', async () => {
  for (let guess = 0; guess < 10; guess += 1) {
    await forgetAttempts();
    const refused = await login(wrongTotpOf(factor.secret, guess), guess % 2 === 0 ? service : second);
    expect(refused.reason).toBe('SECOND_FACTOR_INVALID');
  }
  await forgetAttempts();
  const refused = await login(totpOf(factor.secret));
  expect(refused.reason).toBe('SECOND_FACTOR_INVALID');
  // To wait for the next code does not help now.
  expect(refused.message).toMatch(/or use a recovery code$/);
  expect(refused.message).toBe((await login(wrongTotpOf(factor.secret))).message);
  expect(await failures()).toBe(10);
  const reported = await events('factor.wrong-codes');
  expect(reported.map(({ details, outcome }) => [details, outcome])).toEqual([
    [{ failures: 3 }, 'refused'],
    [{ failures: 10 }, 'refused'],
  ]);
  expect((await login(factor.recoveryCodes[0])).code).toBe(status.OK);
  // The day ends.
  await database.query('UPDATE code_failures SET expires_at = now() WHERE user_id = $1', [userId]);
  expect((await login(totpOf(factor.secret))).code).toBe(status.OK);
  await forgetUsedCodes(service, factor.factorId);
  await login(wrongTotpOf(factor.secret));
  expect(await failures()).toBe(1);
});

test('M05 of 40 concurrent wrong codes at two instances ten are evaluated', async () => {
  const codes = Array.from({ length: 40 }, (_, index) => wrongTotpOf(factor.secret, index));
  const answers = await loginsAtOnce(codes);
  expect(new Set(answers.map(reasonOf))).toEqual(new Set(['SECOND_FACTOR_INVALID']));
  expect(await failures()).toBe(10);
  const causes = await database.query(
    `SELECT details ->> 'cause' AS cause, count(*)::int FROM audit_events
     WHERE action = 'login' AND outcome = 'refused' AND target_id = $1 GROUP BY 1 ORDER BY 1`,
    [userId],
  );
  expect(causes).toEqual([
    { cause: 'too-many-failures', count: 30 },
    { cause: 'wrong', count: 10 },
  ]);
});

/** Runs a login that waits for the lock on the user, which is held until a change of the user is committed. */
async function meanwhile(sql: string, code: string): Promise<Outcome> {
  const { answer } = await database.database.unlimited(async (trx) => {
    await trx.raw('SELECT FROM users WHERE id = ? FOR NO KEY UPDATE', [userId]);
    const waiting = login(code);
    await untilBlocked(database, waiting);
    await trx.raw(sql, [userId]);
    return { answer: waiting };
  });
  return answer;
}

test.each([
  ['is disabled', 'disabled_at = now()'],
  ['gets another password', "password_hash = 'changed'"],
])('M06 a login of a user who %s meanwhile uses up no code', async (_change, assignment) => {
  const [recovery = ''] = factor.recoveryCodes;
  const hash = await database.query('SELECT password_hash FROM users WHERE id = $1', [userId]);
  for (const code of [totpOf(factor.secret), recovery]) {
    await forgetAttempts();
    const sql = `UPDATE users SET ${assignment} WHERE id = ?`;
    expect((await meanwhile(sql, code)).reason).toBe('INVALID_CREDENTIALS');
    await database.query('UPDATE users SET disabled_at = NULL, password_hash = $2 WHERE id = $1', [
      userId,
      hash[0]?.['password_hash'],
    ]);
  }
  expect(await failures()).toBe(0);
  expect((await login(totpOf(factor.secret))).code).toBe(status.OK);
  expect((await login(recovery)).code).toBe(status.OK);
});

test('M06 a factor that is deleted or added during a login counts', async () => {
  const deleted = await meanwhile('DELETE FROM factors WHERE user_id = ?', '000000');
  expect(await verified(deleted.response)).toMatchObject({ acr: 'aal1', amr: ['pwd'] });
  const copy = `INSERT INTO factors (id, user_id, kind, name, sealed_secret, confirmed_at)
    VALUES (gen_random_uuid(), ?, 'totp', 'added', '\\x00', now())`;
  expect((await meanwhile(copy, '')).reason).toBe('SECOND_FACTOR_REQUIRED');
});

test('M07 a secret that a database writer has put there is refused and logged', async () => {
  const own = `writer-${email}`;
  await service.addUser(own, password);
  const theirs = await addTotp(service, await service.tokenOf(own, password));
  await database.query(
    'UPDATE factors SET sealed_secret = (SELECT sealed_secret FROM factors WHERE id = $2) WHERE id = $1',
    [factor.factorId, theirs.factorId],
  );
  expect((await login(totpOf(theirs.secret))).reason).toBe('SECOND_FACTOR_INVALID');
  expect(
    service.logLines.some(
      (line) => line.includes('stored-factor-unreadable') && line.includes(factor.factorId),
    ),
  ).toBe(true);
  // Nor does the whole row help that is given to another user.
  await database.query('DELETE FROM factors WHERE id = $1', [factor.factorId]);
  await database.query('UPDATE factors SET user_id = $1 WHERE id = $2', [userId, theirs.factorId]);
  expect((await login(totpOf(theirs.secret))).reason).toBe('SECOND_FACTOR_INVALID');
  expect(await failures()).toBe(0);
  expect((await login(factor.recoveryCodes[0])).code).toBe(status.OK);
});

test('M07 codes that a database writer inserts for a user are refused', async () => {
  const own = `writer-${email}`;
  const writer = await service.addUser(own, password);
  const theirs = await addTotp(service, await service.tokenOf(own, password));
  await database.query('UPDATE recovery_codes SET user_id = $1 WHERE user_id = $2', [userId, writer]);
  expect((await login(theirs.recoveryCodes[0])).reason).toBe('SECOND_FACTOR_INVALID');
});

test('M12 neither codes nor secrets reach the log or the audit trail', async () => {
  const code = totpOf(factor.secret);
  const [recovery = ''] = factor.recoveryCodes;
  const wrong = 'abcde-fghjk';
  for (const shown of [code, recovery, wrong]) await login(shown);
  const audited = JSON.stringify(await database.query('SELECT * FROM audit_events'));
  const stored = JSON.stringify(await database.query('SELECT * FROM factors, recovery_codes'));
  const logged = service.logLines.join('\n');
  for (const text of [
    factor.secret,
    ...factor.recoveryCodes,
    wrong,
    recovery.replace('-', ''),
    `"${code}"`,
  ]) {
    expect(audited).not.toContain(text);
    expect(logged).not.toContain(text);
    expect(stored).not.toContain(text);
  }
});
