import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';

import {
  completeLogin,
  type CompleteLoginDependencies,
} from '../../../src/features/authentication/complete-login.ts';
import { findLoginRecordById } from '../../../src/features/users/user-queries.ts';
import { RootKey } from '../../../src/features/root-key/root-key.ts';
import { Passkeys } from '../../../src/features/second-factors/passkeys/passkeys.ts';
import { TotpSecrets } from '../../../src/features/second-factors/totp/totp-secrets.ts';
import { SecretDigests } from '../../../src/crypto/keyed-digests.ts';
import { masterKeyOf } from '../../../src/crypto/sealed-envelope.ts';
import { addTotp, type TestFactor, totpOf } from '../../support/second-factors.ts';
import { testCall } from '../../support/test-call.ts';
import { masterKey, startTestService, type TestService } from '../../support/test-service.ts';

const password = 'correct horse battery';
const rootKey = new RootKey();
let service: TestService;
let userId: string;
let factor: TestFactor;
let count = 0;

beforeAll(async () => {
  service = await startTestService();
  await rootKey.prepare(service.database.database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
});
beforeEach(async () => {
  count += 1;
  const email = `rosalind${count}@example.com`;
  userId = await service.addUser(email, password);
  factor = await addTotp(service, await service.tokenOf(email, password));
});
afterAll(() => service.stop());

/**
 * Completes a login with a code. The change is committed after the first statement has asked for the code, and before the
 * transaction that checks it.
 */
async function completedWith(code: string, sql: string) {
  const { database } = service.database;
  const user = await database.run(testCall(), (db) => findLoginRecordById(db, userId));
  if (!user) throw new Error('there is no user');
  const changed = new Proxy(database, {
    get: (target, name: keyof typeof database) =>
      name === 'transaction'
        ? async (...parts: Parameters<typeof database.transaction>) => {
            await service.database.query(sql, [userId]);
            return target.transaction(...parts);
          }
        : (target[name] as () => unknown).bind(target),
  });
  const dependencies: CompleteLoginDependencies = {
    database: changed,
    issuer: {
      requireRoom: () => undefined,
      issueToUser: ({ authentication }: { authentication: unknown }) =>
        Promise.resolve({ token: JSON.stringify(authentication), expiresInSeconds: 1 }),
    } as unknown as CompleteLoginDependencies['issuer'],
    refreshTokens: () => rootKey.tokens(),
    authentications: () => rootKey.authentications(),
    policy: { lifetimeSeconds: 600, idleSeconds: 600, graceSeconds: 30, accessTokenSeconds: 60, perUser: 5 },
    trust: { revoke: () => undefined } as unknown as CompleteLoginDependencies['trust'],
    totpSecrets: new TotpSecrets(() => rootKey.derive('totp')),
    passkeys: new Passkeys({ disabledBecause: 'not used' }, (purpose) => rootKey.derive(purpose), Date.now),
    digests: new SecretDigests((purpose) => rootKey.derive(purpose)),
    nowMs: Date.now,
    onProof: () => undefined,
    onUnreadableFactor: () => undefined,
  };
  const forgiven = { pair: Buffer.alloc(32), account: Buffer.alloc(32), knownSourceSeconds: 60 };
  const authentication = { acr: 'aal1', amr: ['pwd'], authenticatedAtSeconds: 1 } as const;
  const proof = { kind: 'code', code } as const;
  const completion = {
    user,
    forgiven,
    audience: 'postern',
    authentication,
    proof,
    strongerHash: null,
  } as const;
  return completeLogin(dependencies, { ...completion, action: 'login' }, testCall());
}

/** What a login uses up or counts. */
async function used(): Promise<unknown> {
  const [state] = await service.database.query(
    `SELECT (SELECT max(last_step) FROM factors WHERE user_id = $1) AS step,
            (SELECT count(*) FROM recovery_codes WHERE user_id = $1) AS codes,
            (SELECT failures FROM code_failures WHERE user_id = $1) AS failures,
            (SELECT count(*) FROM sessions WHERE user_id = $1 AND ended_at IS NULL) AS sessions`,
    [userId],
  );
  return state;
}

test.each([
  ['is disabled', 'UPDATE users SET disabled_at = now() WHERE id = $1', { ok: false }],
  [
    'gets another password',
    "UPDATE users SET password_hash = password_hash || 'x' WHERE id = $1",
    'hash-changed',
  ],
  ['is deleted', 'DELETE FROM users WHERE id = $1', { ok: false }],
])('M06 the code of a user who %s before it is checked is not used up', async (_change, sql, expected) => {
  const before = await used();
  for (const code of [totpOf(factor.secret), factor.recoveryCodes[0] ?? '', '000000']) {
    const answer = await completedWith(code, sql).catch((error: unknown) => error);
    expect(typeof answer === 'string' ? answer : { ok: (answer as { ok: boolean }).ok }).toEqual(expected);
    if (sql.startsWith('DELETE')) return;
    expect(await used()).toEqual(before);
    await service.database.query('UPDATE users SET disabled_at = NULL WHERE id = $1', [userId]);
  }
});

test('M06 a user whose factor is deleted before the code is checked needs none', async () => {
  const answer = await completedWith('000000', 'DELETE FROM factors WHERE user_id = $1');
  expect(answer).toMatchObject({ ok: true, value: { accessToken: expect.stringContaining('aal1') } });
});

test('without a change the code opens the session', async () => {
  const answer = await completedWith(totpOf(factor.secret), 'SELECT $1::uuid');
  expect(answer).toMatchObject({ ok: true, value: { accessToken: expect.stringContaining('aal2') } });
});
