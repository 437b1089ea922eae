import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import { purgeExpired } from '../../../src/features/maintenance/purge-expired.ts';
import {
  addTotp,
  agedToken,
  bearer,
  forgetUsedCodes,
  totpOf,
  wrongTotpOf,
} from '../../support/second-factors.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { type Message, startTestService, type TestService } from '../../support/test-service.ts';

const password = 'correct horse battery';
const noSuchId = '01890000-0000-7000-8000-000000000000';
let database: TestDatabase;
let service: TestService;
let email: string;
let userId: string;
let token: string;
let count = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({}, database);
});
beforeEach(async () => {
  count += 1;
  email = `mary${count}@example.com`;
  userId = await service.addUser(email, password, ['reader']);
  token = await service.tokenOf(email, password);
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

const call = (method: string, request: Message = {}, accessToken = token) =>
  service.call(`postern.v1.AuthService/${method}`, request, bearer(accessToken));
const login = (code = '') => service.call('postern.v1.AuthService/Login', { email, password, code });
const verdict = async (accessToken: unknown) => {
  const { code, reason, response } = await service.call('postern.v1.AuthService/VerifyToken', {
    access_token: accessToken,
  });
  return code === status.OK ? response : reason;
};
const factorsNow = async () => {
  const { response } = await call('ListFactors');
  return response as { factors: Message[]; recovery_codes_left: number };
};
const lastEvent = async (action: string) => {
  const rows = await database.query('SELECT * FROM audit_events WHERE action = $1 ORDER BY id DESC LIMIT 1', [
    action,
  ]);
  return rows[0];
};
const pending = async (name = 'phone') => {
  const { response, message } = await call('EnrolTotp', { name });
  if (!response) throw new Error(message);
  return { id: String(response['factor_id']), secret: String(response['secret']), response };
};
test('M08 enrolment shows the secret once, and counts after a code of it', async () => {
  const { id, secret, response } = await pending('Mary’s phone');
  expect(secret).toMatch(/^[A-Z2-7]{32}$/);
  const uri = new URL(String(response['otpauth_uri']));
  expect(decodeURIComponent(uri.pathname)).toBe(`/127.0.0.1:${email}`);
  expect(uri.searchParams.get('secret')).toBe(secret);
  const expires = response['expires_at'] as { seconds: string };
  expect(Number(expires.seconds) - Date.now() / 1000).toBeGreaterThan(590);
  expect(await factorsNow()).toEqual({ factors: [], recovery_codes_left: 0 });
  expect((await login()).code).toBe(status.OK);

  const { response: confirmed } = await call('ConfirmFactor', { factor_id: id, code: totpOf(secret) });
  expect(confirmed).toMatchObject({
    factor: { id, kind: 'TOTP', name: 'Mary’s phone', last_used_at: null, synced: false },
  });
  const codes = confirmed?.['recovery_codes'] as string[];
  expect(new Set(codes).size).toBe(10);
  expect(await factorsNow()).toMatchObject({
    factors: [{ id, name: 'Mary’s phone' }],
    recovery_codes_left: 10,
  });
  expect((await login()).reason).toBe('SECOND_FACTOR_REQUIRED');
  expect(await lastEvent('factor.add')).toMatchObject({
    actor_id: userId,
    target_id: id,
    details: { user: userId, kind: 'totp' },
  });
});

test('M08 confirming raises this session and ends all others', async () => {
  const { response: other } = await login();
  const { id, secret } = await pending();
  const { response: confirmed } = await call('ConfirmFactor', { factor_id: id, code: totpOf(secret) });
  const tokens = confirmed?.['tokens'] as Message;
  expect(tokens).toMatchObject({
    refresh_token: '',
    refresh_expires_in: 0,
    user_id: userId,
    token_type: 'bearer',
  });
  expect(await verdict(tokens['access_token'])).toMatchObject({
    acr: 'aal2',
    amr: ['pwd', 'otp'],
    roles: ['reader'],
    session_id: tokens['session_id'],
  });
  expect(await verdict(other?.['access_token'])).toBe('TOKEN_REVOKED');
  const refreshed = await service.call('postern.v1.AuthService/RefreshToken', {
    refresh_token: other?.['refresh_token'],
  });
  expect(refreshed.reason).toBe('REFRESH_TOKEN_REVOKED');
});

test('M08 a factor whose token cannot be issued is not confirmed, so that no recovery codes are lost', async () => {
  const { id, secret } = await pending();
  const { response: other } = await login();
  const setExternalId = (externalId: string | null) =>
    database.query('UPDATE users SET external_id = $2 WHERE id = $1', [userId, externalId]);
  // Longer than the service accepts: as if the issuer had been shorter when it was stored.
  await setExternalId('x'.repeat(1_500));
  const confirmation = { factor_id: id, code: totpOf(secret) };
  expect((await call('ConfirmFactor', confirmation)).reason).toBe('CLAIMS_TOO_LONG');
  await setExternalId(null);
  expect(await factorsNow()).toEqual({ factors: [], recovery_codes_left: 0 });
  expect(await verdict(other?.['access_token'])).toMatchObject({ acr: 'aal1' });
  const { response: confirmed } = await call('ConfirmFactor', confirmation);
  expect(confirmed?.['recovery_codes']).toHaveLength(10);
});

test('M08 a wrong code confirms nothing, and the right one still does', async () => {
  const { id, secret } = await pending();
  for (const code of [wrongTotpOf(secret), '12345', 'abcde-fghjk'])
    expect((await call('ConfirmFactor', { factor_id: id, code })).reason).toBe('SECOND_FACTOR_INVALID');
  expect((await factorsNow()).factors).toEqual([]);
  expect((await login()).code).toBe(status.OK);
  expect((await call('ConfirmFactor', { factor_id: id, code: totpOf(secret) })).code).toBe(status.OK);
});

test('M08 a factor cannot be confirmed twice, late, by another user, or when a later one replaced it', async () => {
  const replaced = await pending();
  const { id, secret } = await pending();
  const confirm = (factor: { id: string; secret: string }, accessToken = token) =>
    call('ConfirmFactor', { factor_id: factor.id, code: totpOf(factor.secret) }, accessToken);
  expect((await confirm(replaced)).reason).toBe('RESOURCE_NOT_FOUND');
  expect((await confirm({ id: noSuchId, secret })).reason).toBe('RESOURCE_NOT_FOUND');
  await service.addUser(`eve-${email}`, password);
  const eve = await service.tokenOf(`eve-${email}`, password);
  expect((await confirm({ id, secret }, eve)).reason).toBe('RESOURCE_NOT_FOUND');
  await database.query("UPDATE factors SET pending_until = now() - interval '1 s' WHERE id = $1", [id]);
  expect((await confirm({ id, secret })).reason).toBe('RESOURCE_NOT_FOUND');
  await database.query("UPDATE factors SET pending_until = now() + interval '1 min' WHERE id = $1", [id]);
  const { response } = await confirm({ id, secret });
  const raised = String((response?.['tokens'] as Message)['access_token']);
  expect((await confirm({ id, secret }, raised)).reason).toBe('RESOURCE_NOT_FOUND');
});

test('M08 two confirmations of one factor at once give one set of recovery codes', async () => {
  const { id, secret } = await pending();
  const confirm = () => call('ConfirmFactor', { factor_id: id, code: totpOf(secret) });
  const answers = await Promise.all([confirm(), confirm(), confirm()]);
  const reasons = answers.map(({ code, reason }) => (code === status.OK ? 'OK' : reason));
  expect(reasons.sort()).toEqual(['OK', 'STEP_UP_REQUIRED', 'STEP_UP_REQUIRED']);
  const { response } = answers.find(({ code }) => code === status.OK) ?? {};
  await forgetUsedCodes(service, id);
  for (const code of response?.['recovery_codes'] as string[]) {
    const { code: answer } = await login(code);
    expect(answer).toBe(status.OK);
  }
});

/** The methods that change factors, each with a request that would succeed. */
const changesOf = (factorId: string): [string, Message][] => [
  ['EnrolTotp', { name: 'another' }],
  ['ReplaceRecoveryCodes', {}],
  ['DeleteFactor', { factor_id: factorId }],
];

test('M05 wrong codes from before a factor do not keep its codes from being accepted', async () => {
  for (let guess = 0; guess < 10; guess += 1) {
    await database.query('DELETE FROM login_throttle');
    expect((await call('StepUp', { code: `00000${guess}` })).reason).toBe('SECOND_FACTOR_INVALID');
  }
  const { secret } = await addTotp(service, token);
  await database.query('DELETE FROM login_throttle');
  expect((await login(totpOf(secret))).code).toBe(status.OK);
});

test('M09 with a factor, changes need a token of level aal2', async () => {
  const { accessToken, factorId } = await addTotp(service, token);
  // The token of before, of the same session.
  for (const [method, request] of [
    ...changesOf(factorId),
    ['ConfirmFactor', { factor_id: factorId, code: '1' }],
  ] as const) {
    const refused = await call(method, request);
    expect([method, refused.code, refused.reason]).toEqual([
      method,
      status.UNAUTHENTICATED,
      'STEP_UP_REQUIRED',
    ]);
    expect(refused.message).toContain('StepUp');
  }
  expect(await factorsNow()).toMatchObject({ factors: [{ id: factorId }], recovery_codes_left: 10 });
  for (const [method, request] of changesOf(factorId))
    expect([method, (await call(method, request, accessToken)).code]).toEqual([method, status.OK]);
});

test.each([
  ['without a factor', false],
  ['with one', true],
])('M09 %s, changes need a proof of at most five minutes ago', async (_what, hasFactor) => {
  const factor = hasFactor ? await addTotp(service, token) : null;
  const { response } = await login(factor ? totpOf(factor.secret) : '');
  const old = await agedToken(service, response ?? {}, 302);
  for (const [method, request] of changesOf(factor?.factorId ?? noSuchId))
    expect([method, (await call(method, request, old)).reason]).toEqual([method, 'STEP_UP_REQUIRED']);
  const { response: fresh } = await login(factor?.recoveryCodes[0]);
  const fairlyOld = await agedToken(service, fresh ?? {}, 270);
  expect((await call('EnrolTotp', { name: 'another' }, fairlyOld)).code).toBe(status.OK);
});

test('M09 changes need a session that lives', async () => {
  const { response } = await login();
  const ended = String(response?.['access_token']);
  for (const change of ['expires_at = now()', "expires_at = now() + interval '1 day', ended_at = now()"]) {
    await database.query(`UPDATE sessions SET ${change} WHERE id = $1`, [response?.['session_id']]);
    expect((await call('EnrolTotp', { name: 'phone' }, ended)).reason).toBe('TOKEN_REVOKED');
  }
  await database.query('UPDATE users SET disabled_at = now() WHERE id = $1', [userId]);
  expect((await call('EnrolTotp', { name: 'phone' })).reason).toBe('TOKEN_REVOKED');
});

test('M09 of a factor and a change that a token of before makes at the same moment one wins', async () => {
  const one = await pending();
  const answers = await Promise.all([
    call('ConfirmFactor', { factor_id: one.id, code: totpOf(one.secret) }),
    ...Array.from({ length: 6 }, () => call('EnrolTotp', { name: 'thief' })),
  ]);
  const [confirmed] = answers;
  // Whatever came after the confirmation was refused; whatever came before replaced the pending factor.
  const isConfirmed = confirmed.code === status.OK;
  expect((await factorsNow()).factors).toHaveLength(isConfirmed ? 1 : 0);
  const left = await database.query('SELECT FROM factors WHERE user_id = $1 AND confirmed_at IS NULL', [
    userId,
  ]);
  expect(left).toHaveLength(isConfirmed ? 0 : 1);
});

test('M10 with the last factor the recovery codes go, and the password alone opens a session', async () => {
  const phone = await addTotp(service, token);
  const tablet = await addTotp(service, phone.accessToken, 'tablet');
  expect(tablet.recoveryCodes).toEqual([]);
  const remove = (factorId: string) => call('DeleteFactor', { factor_id: factorId }, tablet.accessToken);
  expect((await remove(noSuchId)).reason).toBe('RESOURCE_NOT_FOUND');
  expect((await remove('x')).reason).toBe('FIELD_INVALID');
  expect((await remove(phone.factorId)).code).toBe(status.OK);
  expect((await factorsNow()).recovery_codes_left).toBe(10);
  expect((await login(totpOf(phone.secret))).reason).toBe('SECOND_FACTOR_INVALID');
  expect((await remove(tablet.factorId)).code).toBe(status.OK);
  expect(await factorsNow()).toEqual({ factors: [], recovery_codes_left: 0 });
  expect(await lastEvent('factor.delete')).toMatchObject({
    target_id: tablet.factorId,
    details: { left: 0 },
  });
  const { response } = await login(phone.recoveryCodes[0]);
  expect(await verdict(response?.['access_token'])).toMatchObject({ acr: 'aal1' });
});

test('M10 a factor of another user is not found', async () => {
  const theirs = await addTotp(service, token);
  await service.addUser(`eve-${email}`, password);
  const eve = await addTotp(service, await service.tokenOf(`eve-${email}`, password));
  const refused = await call('DeleteFactor', { factor_id: theirs.factorId }, eve.accessToken);
  expect(refused.reason).toBe('RESOURCE_NOT_FOUND');
  expect((await login(totpOf(theirs.secret))).code).toBe(status.OK);
});

test('M10 replaced recovery codes are refused, the new ones are not', async () => {
  expect((await call('ReplaceRecoveryCodes')).reason).toBe('RESOURCE_NOT_FOUND');
  const { accessToken, recoveryCodes } = await addTotp(service, token);
  await login(recoveryCodes[0]);
  const { response } = await call('ReplaceRecoveryCodes', {}, accessToken);
  const fresh = response?.['recovery_codes'] as string[];
  expect(new Set([...fresh, ...recoveryCodes]).size).toBe(20);
  expect((await login(recoveryCodes[1])).reason).toBe('SECOND_FACTOR_INVALID');
  expect((await login(fresh[0])).code).toBe(status.OK);
  expect((await factorsNow()).recovery_codes_left).toBe(9);
  expect(await lastEvent('recovery-codes.replace')).toMatchObject({ target_id: userId });
});

test('M11 a user has at most 20 factors', async () => {
  const first = await addTotp(service, token);
  await database.query(
    `INSERT INTO factors (id, user_id, kind, name, sealed_secret, confirmed_at)
     SELECT gen_random_uuid(), user_id, kind, name, sealed_secret, now() FROM factors, generate_series(1, 18) WHERE id = $1`,
    [first.factorId],
  );
  const { accessToken } = await addTotp(service, first.accessToken, 'twentieth');
  const refused = await call('EnrolTotp', { name: 'another' }, accessToken);
  expect([refused.code, refused.reason]).toEqual([status.RESOURCE_EXHAUSTED, 'FACTOR_LIMIT_REACHED']);
});

test.each([
  ['', 'must not be empty'],
  ['x'.repeat(65), 'must be at most 64 characters long'],
  ['é'.repeat(300), 'must be at most 256 bytes long'],
  ['a\0b', 'must not contain control characters'],
])('N12 the name "%s" %s', async (name, expected) => {
  const { code, reason, message } = await call('EnrolTotp', { name });
  expect([code, reason]).toEqual([status.INVALID_ARGUMENT, 'FIELD_INVALID']);
  expect(message).toContain(expected);
});

test('deleting a user deletes factors, recovery codes and counts of wrong codes', async () => {
  const { secret } = await addTotp(service, token);
  await login(wrongTotpOf(secret));
  await database.query('DELETE FROM users WHERE id = $1', [userId]);
  for (const table of ['factors', 'recovery_codes', 'code_failures'])
    expect(await database.query(`SELECT FROM ${table} WHERE user_id = $1`, [userId])).toEqual([]);
});

test('what has expired is purged', async () => {
  const { id } = await pending();
  const { secret } = await addTotp(service, token);
  await login(wrongTotpOf(secret));
  const other = `other-${email}`;
  await service.addUser(other, password);
  const { response } = await call('EnrolTotp', { name: 'kept' }, await service.tokenOf(other, password));
  await database.query(
    `INSERT INTO factors (id, user_id, kind, name, sealed_secret, pending_until)
     VALUES (gen_random_uuid(), $1, 'totp', 'old', '\\x00', now() - interval '1 s')`,
    [userId],
  );
  await database.query('UPDATE code_failures SET expires_at = now() WHERE user_id = $1', [userId]);
  const purged = await purgeExpired(
    { database: database.database },
    { signal: new AbortController().signal },
  );
  expect(purged).toBeGreaterThanOrEqual(2);
  expect(await database.query('SELECT FROM code_failures WHERE user_id = $1', [userId])).toEqual([]);
  const waiting = await database.query('SELECT id FROM factors WHERE confirmed_at IS NULL AND user_id = $1', [
    userId,
  ]);
  expect(waiting.map((row) => row['id'])).not.toContain(id);
  expect(waiting).toEqual([]);
  const kept = await database.query('SELECT FROM factors WHERE id = $1', [response?.['factor_id']]);
  expect(kept).toHaveLength(1);
});
