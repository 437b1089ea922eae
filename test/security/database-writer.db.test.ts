import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { makeScannableSecret } from '../../src/crypto/api-secret.ts';
import { masterKeyOf, seal } from '../../src/crypto/sealed-envelope.ts';
import { serviceKeyFindings } from '../../src/cli/doctor/service-key-findings.ts';
import type { Settings } from '../../src/config/load-settings.ts';
import { Secret } from '../../src/domain/secret.ts';
import { RootKey } from '../../src/features/root-key/root-key.ts';
import { RefreshTokens } from '../../src/tokens/issue/refresh-token-codec.ts';
import { account, type Tokens, verdictOf } from '../support/account.ts';
import { makeAssertion, makeClientKey } from '../support/client-assertion.ts';
import { type Credentials, openAdminFixture, type AdminFixture } from '../support/admin-fixture.ts';
import { createServiceRole } from '../support/service-role.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

const ann = { email: 'ann@example.com', password: 'correct horse battery' };
const eve = { email: 'eve@example.com', password: 'another horse battery' };

/** The attacker: has the database role of the service but not its master key. */
let store: TestDatabase;
let writer: Client;
let service: TestService;
const running = new Set<TestService>();
let fixture: AdminFixture;
let roleUrl: string;
let annId: string;
let eveId: string;

beforeAll(async () => {
  store = await createTestDatabase();
  roleUrl = (await createServiceRole(store)).url;
  writer = new Client({ connectionString: roleUrl });
  await writer.connect();
  service = await start();
  fixture = await openAdminFixture(store);
  annId = await service.addUser(ann.email, ann.password, ['admin']);
  eveId = await service.addUser(eve.email, eve.password);
});
afterAll(async () => {
  for (const started of running) await started.stop();
  await writer.end();
  await store.drop();
});

async function start(): Promise<TestService> {
  const started = await startTestService(
    { DATABASE_URL: roleUrl, POSTERN_MIGRATE: 'off', POSTERN_ISSUER: 'https://postern.example' },
    store,
  );
  running.add(started);
  return started;
}

/** The SQLSTATE of a statement of the writer. */
function sqlState(sql: string, values: unknown[] = []): Promise<string> {
  return writer.query(sql, values).then(
    ({ rowCount }) => `done: ${rowCount ?? 0}`,
    (error: unknown) => (error as { code: string }).code,
  );
}

async function issueVerdict({ id, secret }: Credentials): Promise<string> {
  const request = { client_id: id, client_secret: secret };
  return verdictOf(await service.call('postern.v1.AuthService/IssueServiceToken', request));
}

async function resetVerdict(token: string): Promise<string> {
  const request = { reset_token: token, new_password: 'yet another battery' };
  return verdictOf(await service.call('postern.v1.AuthService/ResetPassword', request));
}

/** Candidate keys of an attacker with the whole database: its values, nothing, and hashes of these. */
async function guessedKeys(): Promise<Buffer[]> {
  const { rows } = await writer.query<{ bytes: Buffer }>(
    `SELECT sealed_key AS bytes FROM refresh_root
     UNION ALL SELECT sealed_private_key FROM signing_keys WHERE sealed_private_key IS NOT NULL`,
  );
  const found = [Buffer.alloc(32), ...rows.map(({ bytes }) => bytes)];
  return found.flatMap((bytes) => [bytes, createHash('sha256').update(bytes).digest()]);
}

/** Digests of a secret that can be made with those keys, or without a key. */
async function guessedDigests(secret: string, purpose: string): Promise<Buffer[]> {
  const keys = await guessedKeys();
  const derived = keys.map((key) => Buffer.from(hkdfSync('sha256', key, '', `postern ${purpose}`, 32)));
  return [
    createHash('sha256').update(secret).digest(),
    Buffer.from(secret),
    ...[...keys, ...derived].map((key) => createHmac('sha256', key).update(secret).digest()),
  ];
}

describe('D20 a database writer cannot forge', () => {
  test('a refresh token for a session, whose row he may write', async () => {
    const [session, nonce] = ['018f0000-0000-7000-8000-00000000000a', randomBytes(16)];
    await writer.query(
      `INSERT INTO sessions (id, user_id, nonce, audience, access_expires_at, expires_at)
       VALUES ($1, $2, $3, 'postern', now(), now() + interval '1 day')`,
      [session, annId, nonce],
    );
    const roots = (await guessedKeys()).filter(({ length }) => length === 32);
    expect(roots.length).toBeGreaterThan(2);
    for (const root of roots) {
      const token = new RefreshTokens(root).make(nonce, session, 1);
      expect(await account.refreshVerdict(service, token)).toBe('REFRESH_TOKEN_INVALID');
    }
  });

  test('a secret of a service account', async () => {
    const secret = makeScannableSecret('psk_', randomBytes(32));
    const id = '018f0000-0000-7000-8000-00000000000b';
    for (const digest of await guessedDigests(secret, 'service secret')) {
      await writer.query('DELETE FROM service_accounts WHERE id = $1', [id]);
      await writer.query(
        `INSERT INTO service_accounts (id, name, roles, secret_digest) VALUES ($1, 'mallory', '{admin}', $2)`,
        [id, digest],
      );
      expect(await issueVerdict({ id, secret })).toBe('INVALID_CREDENTIALS');
    }
  });

  test('a key of a service account: neither one of his own, nor one moved from his account, nor an altered one', async () => {
    const victim = await fixture.createService('victim', ['admin']);
    const his = await fixture.createService('keyed');
    const key = makeClientKey();
    const kid = await fixture.addKey(his.id, key.publicJwk);
    const issueAs = async (clientId: string, by = key) => {
      const client_assertion = makeAssertion(by, { clientId, issuer: 'https://postern.example' });
      return verdictOf(await service.call('postern.v1.AuthService/IssueServiceToken', { client_assertion }));
    };
    expect(await issueAs(his.id)).toBe('OK');
    const { rows } = await writer.query<{ public_jwk: object; mac: Buffer }>(
      'SELECT public_jwk, mac FROM service_keys WHERE kid = $1',
      [kid],
    );
    const macs = [rows[0]?.mac, ...(await guessedDigests(`${victim.id} ${kid}`, 'service key'))];
    for (const mac of macs) {
      await writer.query('DELETE FROM service_keys WHERE account_id = $1', [victim.id]);
      await writer.query(
        'INSERT INTO service_keys (account_id, kid, public_jwk, mac) SELECT $1, kid, public_jwk, $2 FROM service_keys WHERE account_id = $3',
        [victim.id, mac, his.id],
      );
      expect(await issueAs(victim.id)).toBe('INVALID_CREDENTIALS');
    }
    // Another key under the kid and the MAC of the first.
    const other = makeClientKey();
    const altered = { ...rows[0]?.public_jwk, ...(JSON.parse(other.publicJwk) as object) };
    await writer.query('UPDATE service_keys SET public_jwk = $2 WHERE account_id = $1', [his.id, altered]);
    expect(await issueAs(his.id, other)).toBe('INVALID_CREDENTIALS');
    const findings = await serviceKeyFindings(
      store.database,
      { masterKey: new Secret(masterKey), masterKeyPrevious: null, production: true } as unknown as Settings,
      60_000,
    );
    expect(findings.map(({ verdict, message }) => [verdict, message.includes(kid)])).toEqual([
      ['fault', true],
      ['fault', true],
    ]);
    // An administrator who adds the key again repairs the row.
    expect(await fixture.addKey(his.id, key.publicJwk)).toBe(kid);
    expect(await issueAs(his.id)).toBe('OK');
  });

  test('a password reset token', async () => {
    const token = makeScannableSecret('prs_', randomBytes(32));
    for (const digest of await guessedDigests(token, 'password reset token')) {
      await writer.query(
        `INSERT INTO password_resets (user_id, token_digest, expires_at) VALUES ($1, $2, now() + interval '1 hour')
         ON CONFLICT (user_id) DO UPDATE SET token_digest = excluded.token_digest`,
        [annId, digest],
      );
      expect(await resetVerdict(token)).toBe('RESET_TOKEN_INVALID');
    }
    await writer.query('DELETE FROM password_resets');
  });

  test('a root key: with his the service does not start, and a running service keeps its own', async () => {
    const { refresh_token: token } = await account.login(service, ann.email, ann.password);
    const [row] = (await writer.query<{ sealed_key: Buffer }>('SELECT sealed_key FROM refresh_root')).rows;
    const [key] = (
      await writer.query<{ sealed: Buffer }>('SELECT sealed_private_key AS sealed FROM signing_keys')
    ).rows;
    const his = seal(randomBytes(32), 'refresh root', masterKeyOf(randomBytes(32)), randomBytes(12));
    for (const [sealed, fault] of [
      [his, 'another master key'],
      [key?.sealed, 'altered or moved'],
      [Buffer.alloc(0), 'not in a known format'],
    ] as const) {
      await writer.query('UPDATE refresh_root SET sealed_key = $1', [sealed]);
      await expect(start()).rejects.toThrow(fault);
    }
    expect(await sqlState('DELETE FROM refresh_root')).toBe('42501');
    await writer.query('UPDATE refresh_root SET sealed_key = $1', [row?.sealed_key]);
    await account.refresh(service, token);
  });
});

describe('D20 a database writer cannot move to another owner', () => {
  const moving = (table: string) => `UPDATE ${table} SET user_id = $1 WHERE user_id = $2`;

  test('the secret of his service account', async () => {
    const billing = await fixture.createService('billing', ['ledger']);
    const his = await fixture.createService('his');
    const copy = `UPDATE service_accounts SET secret_digest = o.secret_digest FROM service_accounts o
      WHERE service_accounts.id = $1 AND o.id = $2`;
    expect(await sqlState(copy, [billing.id, his.id])).toBe('done: 1');
    expect(await issueVerdict({ id: billing.id, secret: his.secret })).toBe('INVALID_CREDENTIALS');
    expect(await issueVerdict(his)).toBe('OK');
    // Nor the secret from a rotation, stored as the previous secret of the other account.
    const rotated = await fixture.rotate(his.id, 0);
    await writer.query(
      `UPDATE service_accounts SET previous_digest = o.secret_digest, previous_until = 'infinity'
       FROM service_accounts o WHERE service_accounts.id = $1 AND o.id = $2`,
      [billing.id, his.id],
    );
    expect(await issueVerdict({ id: billing.id, secret: rotated })).toBe('INVALID_CREDENTIALS');
    expect(await issueVerdict({ id: his.id, secret: rotated })).toBe('OK');
  });

  test('his password reset token', async () => {
    const token = await fixture.resetFor(eve.email);
    expect(await sqlState(moving('password_resets'), [annId, eveId])).toBe('done: 1');
    expect(await resetVerdict(token)).toBe('RESET_TOKEN_INVALID');
    expect(await sqlState(moving('password_resets'), [eveId, annId])).toBe('done: 1');
    expect(await resetVerdict(token)).toBe('OK');
    eve.password = 'yet another battery';
  });

  test('his session', async () => {
    const his = await account.login(service, eve.email, eve.password);
    const row = `UPDATE sessions SET user_id = $2 WHERE id = $1`;
    expect(await sqlState(row, [his.session_id, annId])).toBe('done: 1');
    expect(await account.refreshVerdict(service, his.refresh_token)).toBe('REFRESH_TOKEN_INVALID');
    // Ending all sessions of that user would log her out.
    expect(await account.revoke(service, his.refresh_token, true)).toBe('OK');
    expect(
      await writer.query('SELECT FROM sessions WHERE id = $1 AND ended_at IS NULL', [his.session_id]),
    ).toMatchObject({ rowCount: 1 });
    const [other] = (
      await writer.query<{ nonce: Buffer }>('SELECT nonce FROM sessions WHERE id <> $1', [his.session_id])
    ).rows;
    await writer.query('UPDATE sessions SET nonce = $2 WHERE id = $1', [his.session_id, other?.nonce]);
    expect(await account.refreshVerdict(service, his.refresh_token)).toBe('REFRESH_TOKEN_INVALID');
  });

  test('but secrets and sessions made before they were bound to their owners keep working', async () => {
    const { id } = await fixture.createService('older');
    const secret = makeScannableSecret('psk_', randomBytes(32));
    await store.query('UPDATE service_accounts SET secret_digest = $2 WHERE id = $1', [
      id,
      fixture.digests.ofServiceSecret(secret),
    ]);
    expect(await issueVerdict({ id, secret })).toBe('OK');
    const root = new RootKey();
    await root.prepare(store.database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
    const [session, nonce] = ['018f0000-0000-7000-8000-00000000000c', randomBytes(16)];
    await store.query(
      `INSERT INTO sessions (id, user_id, nonce, audience, access_expires_at, expires_at)
       VALUES ($1, $2, $3, 'postern', now(), now() + interval '1 day')`,
      [session, eveId, nonce],
    );
    await account.refresh(service, root.tokens().make(nonce, session, 1));
  });
});

describe('D20 a database writer cannot undo a revocation', () => {
  let tokens: Tokens;
  let revoked: string;
  beforeAll(async () => {
    tokens = await account.login(service, ann.email, ann.password);
    expect(await account.revoke(service, tokens.access_token)).toBe('OK');
    revoked = tokens.session_id;
  });

  test.each([
    'DELETE FROM revocations WHERE id = $1',
    `UPDATE revocations SET expires_at = now() WHERE id = $1`,
    `UPDATE revocations SET expires_at = expires_at - interval '1 second' WHERE id = $1`,
    `UPDATE revocations SET id = 'other' WHERE id = $1`,
    `UPDATE revocations SET kind = 'jti' WHERE id = $1`,
    `UPDATE revocations SET written_by = '3' WHERE id = $1`,
    `INSERT INTO revocations (kind, id, expires_at) VALUES ('sid', $1, now())
     ON CONFLICT (kind, id) DO UPDATE SET expires_at = excluded.expires_at`,
    `INSERT INTO revocations (kind, id, expires_at, written_by) VALUES ('sid', $1 || '2', now() + interval '1 year', '3')`,
  ])('a revocation in force: %s', async (statement) => {
    expect(await sqlState(statement, [revoked])).toBe('42501');
  });

  test('an instance started afterwards refuses the token as well', async () => {
    const later = await start();
    expect(await account.verdict(later, tokens.access_token)).toBe('TOKEN_REVOKED');
    await later.stop();
    running.delete(later);
  });

  test('but expired rows can be deleted, and a revocation can be extended and repeated', async () => {
    await store.query(
      `INSERT INTO revocations (kind, id, expires_at) VALUES ('jti', 'old', now() - interval '1 s')`,
    );
    expect(await sqlState(`DELETE FROM revocations WHERE id = 'old'`)).toBe('done: 1');
    expect(
      await sqlState(
        `INSERT INTO revocations (kind, id, expires_at) SELECT kind, id, expires_at + interval '1 second'
         FROM revocations WHERE id = $1
         ON CONFLICT (kind, id) DO UPDATE SET expires_at = excluded.expires_at, written_by = excluded.written_by`,
        [revoked],
      ),
    ).toBe('done: 1');
  });

  test.each([
    `UPDATE signing_keys SET state = 'retired' WHERE kid = $1`,
    `UPDATE signing_keys SET sealed_private_key = '\\x00' WHERE kid = $1`,
    `UPDATE signing_keys SET kid = 'other' WHERE kid = $1`,
    `DELETE FROM signing_keys WHERE kid = $1`,
    `INSERT INTO signing_keys SELECT * FROM signing_keys WHERE kid = $1 ON CONFLICT (kid) DO UPDATE SET state = 'active'`,
  ])('a revoked key: %s', async (statement) => {
    await store.query(
      `INSERT INTO signing_keys (kid, algorithm, state, public_jwk, activate_at)
       VALUES ('gone', 'ES256', 'revoked', '{}', now()) ON CONFLICT DO NOTHING`,
    );
    expect(await sqlState(statement, ['gone'])).toBe('42501');
  });

  test('but the owner of the tables may do all of that, to restore and repair', async () => {
    await store.query(
      `INSERT INTO revocations (kind, id, expires_at, written_by) VALUES ('jti', 'mine', 'infinity', '3')`,
    );
    await store.query(`UPDATE revocations SET expires_at = now() + interval '1 hour' WHERE id = 'mine'`);
    await store.query(`DELETE FROM revocations WHERE id = 'mine'`);
    await store.query(`DELETE FROM signing_keys WHERE kid = 'gone'`);
  });
});

test('D20 a database writer can set roles and password hashes, and so become any user, with audit events', async () => {
  const hash = '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC';
  const password = 'correct horse b\u00e4ttery';
  await writer.query('UPDATE users SET password_hash = $2 WHERE id = $1', [annId, hash]);
  const asAnn = await account.login(service, ann.email, password);
  const authorization = `Bearer ${asAnn.access_token}`;
  const made = await service.call('postern.v1.AdminService/ListUsers', {}, { authorization });
  expect(verdictOf(made)).toBe('OK');
  const { rows } = await writer.query(
    `SELECT DISTINCT action FROM audit_events WHERE actor_id = $1 AND action IN ('login', 'user.read')`,
    [annId],
  );
  expect(rows).toHaveLength(2);
  expect(await sqlState('DELETE FROM audit_events')).toBe('42501');
  expect(await sqlState(`UPDATE audit_events SET actor_id = NULL`)).toBe('42501');
});
