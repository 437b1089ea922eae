import { generateKeyPairSync } from 'node:crypto';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import {
  addPasskey,
  assertionOf,
  beginLogin,
  beginRegistration,
  bearer,
  finishRegistration,
  loginWithPasskey,
  PASSKEY_ORIGIN,
  passkeyEnvironment,
  reasonOf,
} from '../../../support/passkeys.ts';
import { type Deviation, SoftwareAuthenticator } from '../../../support/software-authenticator.ts';
import { createTestDatabase, type TestDatabase } from '../../../support/test-database.ts';
import {
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../../support/test-service.ts';

const password = 'correct horse battery';
let database: TestDatabase;
let service: TestService;
let second: TestService;
let email: string;
let userId: string;
let authenticator: SoftwareAuthenticator;
/** Of the session that registered the passkey. */
let accessToken: string;
let factorId: string;
let count = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  const environment = { ...passkeyEnvironment, POSTERN_TRUSTED_PROXIES: '127.0.0.0/8' };
  service = await startTestService(environment, database);
  second = await startTestService(environment, database);
});
beforeEach(async () => {
  count += 1;
  email = `hedy${count}@example.com`;
  userId = await service.addUser(email, password);
  authenticator = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
  ({ accessToken, factorId } = await addPasskey(
    service,
    await service.tokenOf(email, password),
    authenticator,
  ));
});
afterAll(async () => {
  await service.stop();
  await second.stop();
  await database.drop();
});

const login = (request: Message, at = service) => at.call('postern.v1.AuthService/LoginWithPasskey', request);
const withPassword = (passkey: Message | undefined, more: Message = {}) =>
  service.call('postern.v1.AuthService/Login', { email, password, ...(passkey && { passkey }), ...more });
const verified = async ({ response }: Outcome) => {
  const answer = await service.call('postern.v1.AuthService/VerifyToken', {
    access_token: response?.['access_token'],
  });
  return answer.response;
};
const liveSessions = async () => {
  const sql = 'SELECT id FROM sessions WHERE user_id = $1 AND ended_at IS NULL';
  return (await database.query(sql, [userId])).length;
};
const factorRow = async () => (await database.query('SELECT * FROM factors WHERE id = $1', [factorId]))[0];
/** The causes of refusals that the audit trail has of the user's passkey. */
const causes = async () => {
  const sql = `SELECT details->>'cause' AS cause FROM audit_events
    WHERE target_id = $1 AND reason = 'PASSKEY_INVALID' ORDER BY id`;
  return (await database.query(sql, [userId])).map(({ cause }) => cause);
};

describe('LoginWithPasskey', () => {
  test.each([
    ['a device', false, 'ES256', ['hwk', 'mfa']],
    ['a synced keychain', true, 'ES256', ['swk', 'mfa']],
    ['an Ed25519 key', false, 'EdDSA', ['hwk', 'mfa']],
    ['an RSA key', false, 'RS256', ['hwk', 'mfa']],
  ] as const)(
    'M13 opens a session of level aal2 with the passkey of %s',
    async (_name, isSynced, algorithm, amr) => {
      const other = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN, isSynced, algorithm });
      await addPasskey(service, accessToken, other);
      const outcome = await loginWithPasskey(second, other);
      expect(outcome.response).toMatchObject({ user_id: userId, token_type: 'bearer' });
      expect(await verified(outcome)).toMatchObject({ subject: userId, acr: 'aal2', amr });
    },
  );

  test('M13 lets the session be refreshed, at the same level', async () => {
    const { response } = await loginWithPasskey(service, authenticator);
    const refreshed = await service.call('postern.v1.AuthService/RefreshToken', {
      refresh_token: response?.['refresh_token'],
    });
    expect(await verified(refreshed)).toMatchObject({ acr: 'aal2', amr: ['hwk', 'mfa'] });
  });

  test('M14 opens one session for 50 uses of one answer at once, over two instances', async () => {
    const assertion = assertionOf(authenticator, await beginLogin(service));
    const before = await liveSessions();
    // From many sources, so that none waits for another of its source.
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        login({ ...assertion, client: { address: `192.0.2.${index}` } }, index % 2 === 0 ? service : second),
      ),
    );
    const reasons = outcomes.map(reasonOf);
    expect(reasons.filter((reason) => reason === 'OK')).toHaveLength(1);
    // On a busy machine some wait too long for others of the user; they are not checked.
    const checked = reasons.filter((reason) => reason !== 'OK' && reason !== 'SERVER_OVERLOADED');
    expect(new Set(checked)).toEqual(new Set(['PASSKEY_INVALID']));
    expect(await liveSessions()).toBe(before + 1);
    expect(reasonOf(await login(assertion))).toBe('PASSKEY_INVALID');
    expect(new Set(await causes())).toEqual(new Set(['used']));
  });

  test('M15 takes a challenge for what it was made for alone', async () => {
    const registration = await beginRegistration(service, accessToken);
    const asked = JSON.stringify({ ...(JSON.parse(registration.options) as object), rpId: 'example.com' });
    const answered = assertionOf(authenticator, { ...registration, options: asked });
    expect(reasonOf(await login(answered))).toBe('PASSKEY_INVALID');

    const forLogin = await beginLogin(service);
    const options = JSON.parse(registration.options) as { challenge: string };
    const { challenge } = JSON.parse(forLogin.options) as { challenge: string };
    const made = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }).register(
      JSON.stringify({ ...options, challenge }),
    );
    expect(reasonOf(await finishRegistration(service, accessToken, forLogin, made))).toBe('PASSKEY_INVALID');

    const tampered = { ...forLogin, token: `${forLogin.token.slice(0, -2)}AA` };
    expect(reasonOf(await login(assertionOf(authenticator, tampered)))).toBe('PASSKEY_INVALID');
    const swapped = { ...(await beginLogin(service)), token: forLogin.token };
    expect(reasonOf(await login(assertionOf(authenticator, swapped)))).toBe('PASSKEY_INVALID');
    expect(await causes()).toContain('challenge');
  });

  const wrong: [string, () => Deviation, string][] = [
    ['of a page of another site', () => ({ origin: 'https://login.example.org' }), 'origin'],
    ['of an origin that is not listed', () => ({ origin: 'https://other.example.com' }), 'origin'],
    ['for another rp id', () => ({ rpId: 'login.example.com' }), 'rp-id'],
    ['without user verification', () => ({ flags: 0x01 }), 'user-not-verified'],
    ['in a frame of another site', () => ({ clientData: { crossOrigin: true } }), 'cross-origin'],
    ['whose backup eligibility has changed', () => ({ flags: 0x0d }), 'backup-flags'],
    [
      'signed by another key',
      () => ({ signer: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }),
      'signature',
    ],
    [
      'with the user handle of another user',
      () => ({ userHandle: Buffer.alloc(16, 1).toString('base64url') }),
      'user-handle',
    ],
    ['without a user handle', () => ({ userHandle: null }), 'user-handle'],
  ];
  test('M16 refuses wrong answers of every kind', async () => {
    for (const [name, deviation] of wrong) {
      const { code, reason } = await loginWithPasskey(service, authenticator, deviation());
      expect([name, code, reason]).toEqual([name, status.UNAUTHENTICATED, 'PASSKEY_INVALID']);
    }
    expect(await causes()).toEqual(wrong.map(([, , cause]) => cause));
    expect(reasonOf(await loginWithPasskey(service, authenticator))).toBe('OK');
  });

  test('M17 refuses a counter that does not grow, and stores one that does', async () => {
    const counting = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN, signCount: 10 });
    ({ factorId } = await addPasskey(service, accessToken, counting));
    expect(reasonOf(await loginWithPasskey(service, counting))).toBe('OK');
    expect(await factorRow()).toMatchObject({ sign_count: '11' });
    for (const signCount of [11, 10, 0])
      expect(reasonOf(await loginWithPasskey(second, counting, { signCount }))).toBe('PASSKEY_INVALID');
    expect(await causes()).toEqual(['counter', 'counter', 'counter']);
    expect(reasonOf(await loginWithPasskey(second, counting, { signCount: 0xffff_ffff }))).toBe('OK');
  });

  test('M17 accepts one of many answers with one counter at once', async () => {
    const counting = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN, signCount: 10 });
    await addPasskey(service, accessToken, counting);
    const challenges = await Promise.all(Array.from({ length: 12 }, () => beginLogin(service)));
    const outcomes = await Promise.all(
      challenges.map((challenge, index) =>
        login(assertionOf(counting, challenge, { signCount: 20 }), index % 2 === 0 ? service : second),
      ),
    );
    expect(outcomes.map(reasonOf).filter((reason) => reason === 'OK')).toHaveLength(1);
  });

  test('M18 answers alike for an unknown passkey and for those of disabled users and deleted ones', async () => {
    const stranger = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
    stranger.userHandle = authenticator.userHandle;
    const unknown = await loginWithPasskey(service, stranger);
    const forged = await loginWithPasskey(service, authenticator, { signer: stranger.privateKey });
    await database.query('UPDATE users SET disabled_at = now() WHERE id = $1', [userId]);
    const disabled = await loginWithPasskey(service, authenticator);
    await database.query('UPDATE users SET disabled_at = NULL WHERE id = $1', [userId]);
    const deletion = await service.call(
      'postern.v1.AuthService/DeleteFactor',
      { factor_id: factorId },
      bearer(accessToken),
    );
    expect(deletion.message).toBe('');
    const deleted = await loginWithPasskey(service, authenticator);
    const answers = [unknown, forged, disabled, deleted].map(({ code, reason, message }) => ({
      code,
      reason,
      message,
    }));
    expect(answers[0]?.reason).toBe('PASSKEY_INVALID');
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(await causes()).toEqual(['signature', 'disabled']);
  });

  test('M20 treats a row that somebody else has changed as unknown', async () => {
    const victim = await service.addUser(`victim${count}@example.com`, password);
    const attacker = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
    const original = await factorRow();
    attacker.userHandle = authenticator.userHandle;
    const changes: [string, unknown[], SoftwareAuthenticator][] = [
      [
        'cose_key = $2',
        [attacker.coseKey],
        Object.assign(attacker, { credentialId: authenticator.credentialId }),
      ],
      ['user_id = $2', [victim], authenticator],
      ['backup_eligible = true', [], authenticator],
      ['mac = $2', [Buffer.alloc(32)], authenticator],
    ];
    for (const [change, values, used] of changes) {
      await database.query(`UPDATE factors SET ${change} WHERE id = $1`, [factorId, ...values]);
      const handle = change.startsWith('user_id') ? victim.replaceAll('-', '') : userId.replaceAll('-', '');
      const userHandle = Buffer.from(handle, 'hex').toString('base64url');
      const flags = change.startsWith('backup') ? 0x0d : 0x05;
      expect([change, reasonOf(await loginWithPasskey(service, used, { userHandle, flags }))]).toEqual([
        change,
        'PASSKEY_INVALID',
      ]);
      await database.query(
        'UPDATE factors SET cose_key = $2, user_id = $3, backup_eligible = $4, mac = $5 WHERE id = $1',
        [factorId, original?.['cose_key'], userId, original?.['backup_eligible'], original?.['mac']],
      );
    }
    expect(reasonOf(await loginWithPasskey(service, authenticator))).toBe('OK');
    const copy = `INSERT INTO factors (id, user_id, kind, name, credential_id, cose_key, sign_count, backup_eligible, backed_up, mac, confirmed_at)
      SELECT gen_random_uuid(), $2, kind, name, $3, cose_key, 0, backup_eligible, backed_up, mac, now() FROM factors WHERE id = $1`;
    const credentialId = Buffer.alloc(32, count);
    await database.query(copy, [factorId, victim, credentialId]);
    const copied = Object.assign(authenticator, { credentialId });
    const userHandle = Buffer.from(victim.replaceAll('-', ''), 'hex').toString('base64url');
    expect(reasonOf(await loginWithPasskey(service, copied, { userHandle }))).toBe('PASSKEY_INVALID');
  });

  test('M23 refuses a source that fails again and again, and no other', async () => {
    const client = (address: string) => ({ client: { address } });
    const assertion = assertionOf(authenticator, await beginLogin(service), { rpId: 'evil.example' });
    const failures = await Promise.all(
      Array.from({ length: 80 }, () => login({ ...assertion, ...client('203.0.113.7') })),
    );
    const reasons = failures.map(reasonOf);
    expect(new Set(reasons)).toEqual(new Set(['PASSKEY_INVALID', 'LOGIN_RATE_LIMITED']));
    expect(reasons.filter((reason) => reason === 'PASSKEY_INVALID').length).toBeGreaterThanOrEqual(60);
    const right = async (address: string) =>
      reasonOf(await login({ ...assertionOf(authenticator, await beginLogin(service)), ...client(address) }));
    expect(await right('203.0.113.8')).toBe('OK');
    for (let logins = 0; logins < 70; logins += 10)
      expect(await Promise.all(Array.from({ length: 10 }, () => right('203.0.113.9')))).toEqual(
        Array(10).fill('OK'),
      );
  });

  test('M23 lets 80 logins of one source in at once: those that succeed are no failures', async () => {
    const challenges = await Promise.all(Array.from({ length: 80 }, () => beginLogin(service)));
    const outcomes = await Promise.all(
      challenges.map((challenge) =>
        login({ ...assertionOf(authenticator, challenge), client: { address: '203.0.113.10' } }),
      ),
    );
    const reasons = outcomes.map(reasonOf);
    expect(reasons).toContain('OK');
    expect(reasons).not.toContain('LOGIN_RATE_LIMITED');
  });

  test('refuses what is empty or too long as FIELD_INVALID', async () => {
    const changes: [string, Message][] = [
      ['no answer', { credential_json: '' }],
      ['an answer of more than 16 KiB', { credential_json: 'x'.repeat(16_385) }],
      ['no challenge token', { challenge_token: '' }],
      ['an audience that is not one', { audience: '\n' }],
    ];
    for (const [name, changed] of changes) {
      const request = { ...assertionOf(authenticator, await beginLogin(service)), ...changed };
      expect([name, reasonOf(await login(request))]).toEqual([name, 'FIELD_INVALID']);
    }
  });

  test('answers PASSKEY_INVALID, never INTERNAL, to what is no answer', async () => {
    const { token } = await beginLogin(service);
    for (const credential_json of ['{', '[]', '"', '\u0000', '{"type":"public-key"}', '{"id":'.repeat(2_000)])
      expect(reasonOf(await login({ challenge_token: token, credential_json }))).toBe('PASSKEY_INVALID');
    const assertion = assertionOf(authenticator, { ...(await beginLogin(service)), token: 'A'.repeat(116) });
    expect(reasonOf(await login(assertion))).toBe('PASSKEY_INVALID');
  });
});

describe('a passkey as second factor', () => {
  test('M19 logs in with the password and a passkey', async () => {
    const challenged = await withPassword(undefined);
    expect(challenged.reason).toBe('SECOND_FACTOR_REQUIRED');
    expect(challenged.message).toContain('passkey, recovery');
    const outcome = await withPassword(assertionOf(authenticator, await beginLogin(service)));
    expect(await verified(outcome)).toMatchObject({ acr: 'aal2', amr: ['pwd', 'hwk'] });
    expect(await factorRow()).toMatchObject({ last_used_at: expect.any(Date) as unknown });
  });

  test('M19 refuses the passkey of another user, a used one, and a wrong one, each as a failed login', async () => {
    const failures = async () => {
      const [row] = await database.query('SELECT sum(failures)::int AS failures FROM login_throttle');
      return Number(row?.['failures']);
    };
    const otherEmail = `other${count}@example.com`;
    await service.addUser(otherEmail, password);
    const others = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
    await addPasskey(service, await service.tokenOf(otherEmail, password), others);
    const used = assertionOf(authenticator, await beginLogin(service));
    expect(reasonOf(await withPassword(used))).toBe('OK');
    const presented = [
      assertionOf(others, await beginLogin(service)),
      used,
      assertionOf(authenticator, await beginLogin(service), { rpId: 'evil.example' }),
    ];
    for (const passkey of presented) {
      const before = await failures();
      expect(reasonOf(await withPassword(passkey))).toBe('PASSKEY_INVALID');
      // For the e-mail with its source, and for the e-mail.
      expect(await failures()).toBe(before + 2);
    }
    expect(await causes()).toEqual(['other-user', 'used', 'rp-id']);
  });

  test('M19 looks at no passkey while the password is wrong, and uses none up', async () => {
    const passkey = assertionOf(authenticator, await beginLogin(service));
    expect(reasonOf(await withPassword(passkey, { password: 'wrong horse battery' }))).toBe(
      'INVALID_CREDENTIALS',
    );
    expect(reasonOf(await withPassword(passkey))).toBe('OK');
  });

  test('M19 refuses a code and a passkey together', async () => {
    const passkey = assertionOf(authenticator, await beginLogin(service));
    expect(reasonOf(await withPassword(passkey, { code: '123456' }))).toBe('FIELD_INVALID');
  });
});

describe('registration', () => {
  test('M22 ends the other sessions and gives recovery codes with the first factor', async () => {
    const name = `ada${count}@example.com`;
    const id = await service.addUser(name, password);
    const other = await service.tokenOf(name, password);
    const made = await addPasskey(
      service,
      await service.tokenOf(name, password),
      new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }),
    );
    expect(made.recoveryCodes).toHaveLength(10);
    expect(reasonOf(await service.call('postern.v1.AuthService/VerifyToken', { access_token: other }))).toBe(
      'TOKEN_REVOKED',
    );
    const { response } = await service.call(
      'postern.v1.AuthService/ListFactors',
      {},
      bearer(made.accessToken),
    );
    expect(response).toMatchObject({
      factors: [{ id: made.factorId, kind: 'PASSKEY', name: 'phone', synced: false }],
    });
    const verification = await service.call('postern.v1.AuthService/VerifyToken', {
      access_token: made.accessToken,
    });
    expect(verification.response).toMatchObject({ subject: id, acr: 'aal2', amr: ['pwd', 'hwk'] });
  });

  test('M22 says what a browser needs, with the passkeys that the user has', async () => {
    const { options } = await beginRegistration(service, accessToken);
    expect(JSON.parse(options)).toEqual({
      rp: { id: 'example.com', name: 'example.com' },
      user: {
        id: Buffer.from(userId.replaceAll('-', ''), 'hex').toString('base64url'),
        name: email,
        displayName: email,
      },
      challenge: expect.stringMatching(/^[\w-]{43}$/) as unknown,
      pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: 'public-key', alg })),
      timeout: 300_000,
      excludeCredentials: [
        {
          type: 'public-key',
          id: authenticator.credentialId.toString('base64url'),
          transports: ['internal', 'hybrid'],
        },
      ],
      authenticatorSelection: {
        residentKey: 'required',
        requireResidentKey: true,
        userVerification: 'required',
      },
      attestation: 'none',
    });
    const login = JSON.parse((await beginLogin(service)).options) as object;
    expect(login).toMatchObject({
      rpId: 'example.com',
      allowCredentials: [],
      userVerification: 'required',
      timeout: 300_000,
    });
  });

  test('M22 needs a session of level aal2 once there is a factor, and a fresh one', async () => {
    await database.query(`UPDATE factors SET kind = kind WHERE id = $1`, [factorId]);
    const name = `eve${count}@example.com`;
    await service.addUser(name, password);
    const before = await service.tokenOf(name, password);
    const challenge = await beginRegistration(service, before);
    const raised = await addPasskey(service, before, new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }));
    const made = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }).register(challenge.options);
    // The token of the same session from before it was raised.
    expect(reasonOf(await finishRegistration(service, before, challenge, made))).toBe('STEP_UP_REQUIRED');
    expect(reasonOf(await finishRegistration(service, raised.accessToken, challenge, made))).toBe('OK');
    expect(reasonOf(await finishRegistration(service, raised.accessToken, challenge, made))).toBe(
      'PASSKEY_INVALID',
    );
  });

  test('M15 refuses the challenge of another user', async () => {
    const name = `mia${count}@example.com`;
    await service.addUser(name, password);
    const challenge = await beginRegistration(service, await service.tokenOf(name, password));
    const made = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }).register(challenge.options);
    expect(reasonOf(await finishRegistration(service, accessToken, challenge, made))).toBe('PASSKEY_INVALID');
  });

  test('M22 refuses a credential that is registered already, and a wrong answer, and changes nothing', async () => {
    const challenge = await beginRegistration(service, accessToken);
    expect(
      reasonOf(
        await finishRegistration(service, accessToken, challenge, authenticator.register(challenge.options)),
      ),
    ).toBe('PASSKEY_INVALID');
    const again = await beginRegistration(service, accessToken);
    const made = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
    const phished = made.register(again.options, { origin: 'https://login.example.org' });
    expect(reasonOf(await finishRegistration(service, accessToken, again, phished))).toBe('PASSKEY_INVALID');
    expect(await causes()).toEqual(['registered-already', 'origin']);
    expect(await database.query('SELECT id FROM factors WHERE user_id = $1', [userId])).toHaveLength(1);
    // A refused answer does not use the challenge up.
    expect(
      reasonOf(await finishRegistration(service, accessToken, again, made.register(again.options))),
    ).toBe('OK');
  });

  test('M14 adds one passkey for many uses of one answer at once', async () => {
    const challenge = await beginRegistration(service, accessToken);
    const made = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }).register(challenge.options);
    const outcomes = await Promise.all(
      Array.from({ length: 10 }, (_, index) =>
        finishRegistration(index % 2 === 0 ? service : second, accessToken, challenge, made),
      ),
    );
    expect(outcomes.map(reasonOf).filter((reason) => reason === 'OK')).toHaveLength(1);
    expect(await causes()).toEqual(Array(9).fill('used'));
  });

  test('M14 adds a passkey that was deleted by no second use of its answer', async () => {
    const challenge = await beginRegistration(service, accessToken);
    const made = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN }).register(challenge.options);
    const { response } = await finishRegistration(service, accessToken, challenge, made);
    const factor_id = (response?.['factor'] as Message)['id'];
    await service.call('postern.v1.AuthService/DeleteFactor', { factor_id }, bearer(accessToken));
    expect(reasonOf(await finishRegistration(service, accessToken, challenge, made))).toBe('PASSKEY_INVALID');
  });
});

test('M24 without an origin every RPC says why there are no passkeys, and logins with codes go on', async () => {
  const off = await startTestService({ POSTERN_ISSUER: 'http://192.0.2.1:8080' }, database);
  try {
    const name = `off${count}@example.com`;
    await off.addUser(name, password);
    const token = await off.tokenOf(name, password);
    const passkey = { challenge_token: 'x', credential_json: '{}' };
    const outcomes = await Promise.all([
      off.call('postern.v1.AuthService/BeginPasskeyLogin', {}),
      off.call('postern.v1.AuthService/LoginWithPasskey', passkey),
      off.call('postern.v1.AuthService/BeginPasskeyRegistration', {}, bearer(token)),
      off.call(
        'postern.v1.AuthService/FinishPasskeyRegistration',
        { ...passkey, name: 'phone' },
        bearer(token),
      ),
      off.call('postern.v1.AuthService/Login', { email: name, password, passkey }),
    ]);
    for (const { code, reason, message } of outcomes) {
      expect([code, reason]).toEqual([status.FAILED_PRECONDITION, 'PASSKEYS_DISABLED']);
      expect(message).toContain(
        'POSTERN_ISSUER has an IP address, and browsers make no passkeys for an IP address',
      );
    }
  } finally {
    await off.stop();
  }
});
