import { createHash, randomBytes } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';

import { account, verdictOf } from '../../support/account.ts';
import { type AdminFixture, openAdminFixture } from '../../support/admin-fixture.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import {
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';
import { untilBlocked } from '../../support/until-blocked.ts';
import { until } from '../../support/wait-for.ts';
import { apiKeyFindings } from '../../../src/cli/doctor/api-key-findings.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { ApiKeyUses } from '../../../src/features/api-keys/api-key-uses.ts';
import { purgeExpired } from '../../../src/features/maintenance/purge-expired.ts';
import { endAllSessions } from '../../../src/features/authentication/end-all-sessions.ts';
import { serviceEnvironment } from '../../support/service-environment.ts';
import { masterKeyOf } from '../../../src/crypto/sealed-envelope.ts';
import { masterKey } from '../../support/test-service.ts';
import { keyPolicy } from '../../support/key-policy.ts';
import { ownOrigin } from '../../../src/domain/operation-call.ts';

const password = 'correct horse battery';

let database: TestDatabase;
let service: TestService;
let second: TestService;
let fixture: AdminFixture;
let asAdmin: string;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({ POSTERN_API_KEYS_MAX: '60' }, database);
  second = await startTestService({ POSTERN_API_KEYS_MAX: '60' }, database);
  fixture = await openAdminFixture(database);
  await service.addUser('ann@example.com', password, ['admin']);
  asAdmin = `Bearer ${await service.tokenOf('ann@example.com', password)}`;
});
afterAll(async () => {
  await service.stop();
  await second.stop();
  await database.drop();
});

let made = 0;
const next = () => `n${(made += 1)}`;
const newUser = (roles: string[] = ['reader']) => service.addUser(`${next()}@example.com`, password, roles);
const administer = (method: string, request: Message, at = service) =>
  at.call(`postern.v1.AdminService/${method}`, request, { authorization: asAdmin });
const tryCreate = (user_id: string, request: Message = {}, at = service) =>
  administer('CreateApiKey', { user_id, api_key: { name: next(), roles: ['reader'], ...request } }, at);
function created({ response, message }: Outcome): { secret: string; id: string; key: Message } {
  if (!response) throw new Error(message);
  const key = response['api_key'] as Message;
  return { secret: String(response['secret']), id: String(key['id']), key };
}
const create = async (userId: string, request: Message = {}) => created(await tryCreate(userId, request));
const exchange = (subject_token: string, at = service) =>
  at.call('postern.v1.AuthService/ExchangeToken', { subject_token });
const becomes = (expected: string, key: string, at = second) =>
  until(async () => (await account.verdict(at, key)) === expected, `the key is ${expected}`);

/** As `tryCreate`; on a busy machine, creations that wait for each other for too long are refused, and made again. */
async function createInTurn(userId: string, at: TestService): Promise<Outcome> {
  const outcome = await tryCreate(userId, {}, at);
  return verdictOf(outcome) === 'SERVER_OVERLOADED' ? createInTurn(userId, at) : outcome;
}

describe('Q06 limits hold under concurrency', () => {
  test('an owner has at most 50 valid keys, and revoked ones make room', async () => {
    const userId = await newUser();
    const outcomes = await Promise.all(
      Array.from({ length: 54 }, (_, index) => createInTurn(userId, index % 2 ? service : second)),
    );
    const verdicts = outcomes.map(verdictOf);
    expect(verdicts.filter((verdict) => verdict === 'OK')).toHaveLength(50);
    expect(new Set(verdicts)).toEqual(new Set(['OK', 'API_KEY_LIMIT_REACHED']));
    const [first] = outcomes.filter(({ response }) => response).map(created);
    const id = String(first?.id);
    expect(verdictOf(await administer('RotateApiKey', { id }))).toBe('API_KEY_LIMIT_REACHED');
    expect(verdictOf(await administer('RotateApiKey', { id, overlap: 0 }))).toBe('OK');
    const { response } = await administer('ListApiKeys', { user_id: userId, page_size: 30 });
    expect(response?.['api_keys']).toHaveLength(30);
    const rest = { user_id: userId, page_token: response?.['next_page_token'] };
    expect((await administer('ListApiKeys', rest)).response?.['api_keys']).toHaveLength(20);
    await administer('DeleteUser', { user_id: userId });
  });

  test('an owner has at most 500 keys with those that ended in the last day, and hears that a revocation is no help', async () => {
    const userId = await newUser();
    const { id } = await create(userId);
    await administer('RevokeApiKey', { id });
    await database.query(
      `INSERT INTO api_keys (id, user_id, name, digest, mac, roles, audience, revoked_at)
       SELECT gen_random_uuid(), user_id, name, sha256(n::text::bytea), mac, roles, audience, revoked_at
       FROM api_keys, generate_series(1, 499) n WHERE id = $1`,
      [id],
    );
    const { reason, message } = await tryCreate(userId);
    expect(reason).toBe('API_KEY_LIMIT_REACHED');
    expect(message).toBe(
      'the owner has 500 API keys, with those that ended in the last day; use one key for longer, or exchange it for tokens',
    );
    await administer('DeleteUser', { user_id: userId });
  });

  test('all owners together have at most POSTERN_API_KEYS_MAX', async () => {
    const users = await Promise.all([newUser(), newUser()]);
    const outcomes = await Promise.all(
      users.flatMap((userId) =>
        Array.from({ length: 35 }, (_, index) => createInTurn(userId, index % 2 ? service : second)),
      ),
    );
    const verdicts = outcomes.map(verdictOf);
    expect(verdicts.filter((verdict) => verdict === 'OK')).toHaveLength(60);
    expect(new Set(verdicts)).toEqual(new Set(['OK', 'API_KEY_LIMIT_REACHED']));
    for (const user_id of users) await administer('DeleteUser', { user_id });
  });

  test('a name is unique among the keys of an owner, and free again after the end of the key', async () => {
    const userId = await newUser();
    const name = next();
    const racing = await Promise.all([tryCreate(userId, { name }), tryCreate(userId, { name })]);
    expect(racing.map(verdictOf).sort()).toEqual(['NAME_TAKEN', 'OK']);
    expect(racing.map(({ message }) => message).join('')).toContain(
      'another API key of the owner has this name',
    );
    const [{ id } = { id: '' }] = racing.filter(({ response }) => response).map(created);
    expect(verdictOf(await tryCreate(await newUser(), { name }))).toBe('OK');
    await administer('RevokeApiKey', { id });
    expect(verdictOf(await tryCreate(userId, { name }))).toBe('OK');
  });
});

describe('Q07 rotation', () => {
  test('the old key stays valid for the overlap, with the same rights and no more', async () => {
    const userId = await newUser();
    const old = await create(userId, { allowed_networks: [], lifetime: 3_600 });
    const outcome = await administer('RotateApiKey', { id: old.id, overlap: 600 });
    const rotated = created(outcome);
    expect(rotated.key).toMatchObject({ name: old.key['name'], roles: ['reader'], rotated_from: old.id });
    const lifetimeOf = ({ created_at, expires_at }: Message) =>
      Number((expires_at as { seconds: string }).seconds) -
      Number((created_at as { seconds: string }).seconds);
    expect(Math.abs(lifetimeOf(rotated.key) - 3_600)).toBeLessThanOrEqual(1);
    for (const { secret } of [old, rotated])
      for (const at of [service, second]) await becomes('OK', secret, at);
    // Only once: its successor is rotated next.
    expect(verdictOf(await administer('RotateApiKey', { id: old.id }))).toBe('RESOURCE_NOT_FOUND');
    const after = created(await administer('RotateApiKey', { id: rotated.id, overlap: 0 }));
    for (const at of [service, second]) await becomes('API_KEY_INVALID', rotated.secret, at);
    await becomes('OK', after.secret);
    await becomes('OK', old.secret);
    const short = created(await administer('RotateApiKey', { id: after.id, overlap: 1 }));
    await becomes('API_KEY_INVALID', after.secret);
    await becomes('OK', short.secret);
  });
});

describe('Q08 who writes to the database makes no key and widens none', () => {
  const alterations: Record<string, string> = {
    'another owner': `user_id = (SELECT id FROM users WHERE email = 'ann@example.com')`,
    'more roles': `roles = '{admin,reader}'`,
    'another audience': `audience = 'billing'`,
    'other networks': `allowed_networks = '{0.0.0.0/0}'`,
    'a later end': `expires_at = NULL`,
    'the digest of another key': `digest = sha256('x')`,
  };
  test.each(Object.entries(alterations))('%s', async (_name, change) => {
    const { secret, id } = await create(await newUser(['reader', 'writer']));
    await becomes('OK', secret);
    await database.query(`UPDATE api_keys SET ${change}, written_by = pg_current_xact_id() WHERE id = $1`, [
      id,
    ]);
    await becomes('API_KEY_INVALID', secret);
    expect(verdictOf(await exchange(secret))).toBe('API_KEY_INVALID');
    expect(verdictOf(await administer('RotateApiKey', { id }))).toBe('RESOURCE_NOT_FOUND');
    const settings = loadSettings(serviceEnvironment(database.url));
    const [finding] = await apiKeyFindings(database.database, settings, 5_000);
    expect(finding).toMatchObject({ verdict: 'fault', message: expect.stringContaining(id) });
    expect(verdictOf(await administer('RevokeApiKey', { id }))).toBe('OK');
    expect(await apiKeyFindings(database.database, settings, 5_000)).not.toContainEqual(finding);
  });
});

describe('Q09 races', () => {
  test('an exchange during a revocation: no token outlives the key', async () => {
    const userId = await newUser();
    for (let round = 0; round < 4; round += 1) {
      const { secret, id } = await create(userId);
      for (const at of [service, second]) await becomes('OK', secret, at);
      const exchanges = Array.from({ length: 6 }, (_, index) =>
        exchange(secret, index % 2 ? service : second),
      );
      const revocation = administer('RevokeApiKey', { id });
      const outcomes = await Promise.all(exchanges);
      const tokens = outcomes.flatMap(({ response }) =>
        response ? [response['access_token'] as string] : [],
      );
      expect(verdictOf(await revocation)).toBe('OK');
      for (const token of tokens)
        for (const at of [service, second]) await becomes('TOKEN_REVOKED', token, at);
      expect(verdictOf(await exchange(secret, service))).toBe('API_KEY_INVALID');
    }
  });

  test.each<[change: string, verdict: string]>([
    [`UPDATE users SET roles = '{reader}' WHERE id = $1`, 'CONFLICT'],
    ['UPDATE users SET disabled_at = now() WHERE id = $1', 'CONFLICT'],
    ['UPDATE api_keys SET revoked_at = now() WHERE user_id = $1', 'API_KEY_INVALID'],
    ['DELETE FROM users WHERE id = $1', 'API_KEY_INVALID'],
  ])('an exchange that waits for the commit of: %s', async (change, verdict) => {
    const userId = await newUser(['reader', 'writer']);
    const { secret } = await create(userId, { roles: ['reader', 'writer'] });
    await becomes('OK', secret);
    const writer = new Client({ connectionString: database.url });
    await writer.connect();
    try {
      await writer.query('BEGIN');
      await writer.query(change, [userId]);
      const exchanging = exchange(secret, second);
      await untilBlocked(database, exchanging);
      await writer.query('COMMIT');
      expect(verdictOf(await exchanging)).toBe(verdict);
    } finally {
      await writer.end();
    }
  });

  test.each([
    ['UpdateUser', { roles: { roles: ['reader'] } }],
    ['DeleteUser', {}],
  ])('%s that waits for the commit of an exchange revokes its token', async (method, request) => {
    const userId = await newUser(['reader', 'writer']);
    const { id } = await create(userId);
    const tokenId = next();
    const writer = new Client({ connectionString: database.url });
    await writer.connect();
    try {
      // As an exchange does, which locks the key before it records the token.
      await writer.query('BEGIN');
      await writer.query('SELECT FROM api_keys WHERE id = $1 FOR SHARE', [id]);
      const changing = administer(method, { user_id: userId, ...request });
      await untilBlocked(database, changing);
      await writer.query(
        `INSERT INTO service_tokens (id, api_key_id, expires_at) VALUES ($1, $2, now() + interval '10 minutes')`,
        [tokenId, id],
      );
      await writer.query('COMMIT');
      expect(verdictOf(await changing)).toBe('OK');
    } finally {
      await writer.end();
    }
    expect(await database.query('SELECT kind FROM revocations WHERE id = $1', [tokenId])).toEqual([
      { kind: 'jti' },
    ]);
  });

  test('an exchange while the owner loses a role: no token keeps it', async () => {
    for (let round = 0; round < 4; round += 1) {
      const userId = await newUser(['reader', 'writer']);
      const { secret } = await create(userId, { roles: ['reader', 'writer'] });
      for (const at of [service, second]) await becomes('OK', secret, at);
      const exchanges = Array.from({ length: 6 }, (_, index) =>
        exchange(secret, index % 2 ? service : second),
      );
      const change = administer('UpdateUser', { user_id: userId, roles: { roles: ['reader'] } });
      const outcomes = await Promise.all(exchanges);
      expect(verdictOf(await change)).toBe('OK');
      for (const outcome of outcomes) expect(['OK', 'CONFLICT']).toContain(verdictOf(outcome));
      for (const { response } of outcomes) {
        if (!response) continue;
        const access_token = String(response['access_token']);
        await until(async () => {
          const verified = await second.call('postern.v1.AuthService/VerifyToken', { access_token });
          return verified.reason === 'TOKEN_REVOKED' || String(verified.response?.['roles']) === 'reader';
        }, 'the token has no lost role');
      }
    }
  });
});

describe('Q10 a verifier that asks by digest', () => {
  let authorization: string;
  beforeAll(async () => {
    const { id, secret } = await fixture.createService('verifier');
    const { response } = await service.call('postern.v1.AuthService/IssueServiceToken', {
      client_id: id,
      client_secret: secret,
    });
    authorization = `Bearer ${String(response?.['access_token'])}`;
  });
  const resolve = (key: string, at = service) => {
    const key_sha256 = createHash('sha256').update(key).digest();
    return at.call('postern.v1.TrustService/ResolveApiKey', { key_sha256 }, { authorization });
  };
  const isRevoked = async (id: unknown) =>
    (await database.query(`SELECT FROM revocations WHERE kind = 'jti' AND id = $1`, [id])).length > 0;

  test('gets what the key may do, and asks again after a change of the owner', async () => {
    const userId = await newUser(['reader', 'writer']);
    const { secret, id } = await create(userId, { roles: ['writer'], allowed_networks: ['192.0.2.0/24'] });
    await becomes('API_KEY_INVALID', secret); // used without an address
    const before = (await resolve(secret)).response;
    expect(before).toMatchObject({
      id,
      subject: userId,
      subject_type: 'USER',
      roles: ['writer'],
      audience: 'postern',
      allowed_networks: ['192.0.2.0/24'],
      max_age: 600,
    });
    await administer('UpdateUser', { user_id: userId, roles: { roles: ['reader'] } });
    expect(await isRevoked(before?.['revocation_id'])).toBe(true);
    expect(await isRevoked(id)).toBe(false);
    await until(
      async () => String((await resolve(secret, second)).response?.['roles']) === '',
      'no roles are left',
    );
    const after = (await resolve(secret, second)).response;
    expect(await isRevoked(after?.['revocation_id'])).toBe(false);
    await administer('RevokeApiKey', { id });
    expect(await isRevoked(id)).toBe(true);
    expect(verdictOf(await resolve(secret))).toBe('RESOURCE_NOT_FOUND');
  });

  test('keeps no answer beyond the end of the key, and learns nothing about others', async () => {
    const { secret } = await create(await newUser(), { lifetime: 100 });
    await becomes('OK', secret);
    expect(Number((await resolve(secret, second)).response?.['max_age'])).toBeLessThanOrEqual(100);
    expect(verdictOf(await resolve(`pak_${randomBytes(20).toString('hex')}`))).toBe('RESOURCE_NOT_FOUND');
    const short = { key_sha256: Buffer.alloc(31) };
    expect(
      verdictOf(await service.call('postern.v1.TrustService/ResolveApiKey', short, { authorization })),
    ).toBe('FIELD_INVALID');
    expect(
      verdictOf(
        await service.call('postern.v1.TrustService/ResolveApiKey', { key_sha256: Buffer.alloc(32) }),
      ),
    ).toBe('CREDENTIALS_MISSING');
  });
});

test('Q11 the last use is written in one statement, not by each call', async () => {
  const { id } = await create(await newUser());
  const uses = new ApiKeyUses(database.database, Date.now);
  for (let use = 0; use < 1_000; use += 1) uses.note(id, use % 2 ? '192.0.2.9' : null);
  await uses.flush();
  const read = () =>
    database.query('SELECT host(last_used_from) AS address, last_used_at AS at FROM api_keys WHERE id = $1', [
      id,
    ]);
  const first = await read();
  expect(first).toMatchObject([{ address: '192.0.2.9', at: expect.any(Date) }]);
  uses.note(id, '198.51.100.1');
  await uses.stop();
  expect(await read()).toEqual(first);
});

test('Q12 a key is purged a day after its end, and not before', async () => {
  const userId = await newUser();
  const [kept, revoked, expired] = [await create(userId), await create(userId), await create(userId)];
  const idsLeft = async () =>
    (await database.query('SELECT id FROM api_keys WHERE user_id = $1 ORDER BY id', [userId])).map(
      ({ id }) => id,
    );
  await administer('RevokeApiKey', { id: revoked.id });
  const signal = new AbortController().signal;
  await purgeExpired(database, { signal });
  expect(await idsLeft()).toEqual([kept.id, revoked.id, expired.id].sort());
  await database.query(`UPDATE api_keys SET revoked_at = now() - interval '25 hours' WHERE id = $1`, [
    revoked.id,
  ]);
  await database.query(`UPDATE api_keys SET expires_at = now() - interval '25 hours' WHERE id = $1`, [
    expired.id,
  ]);
  await purgeExpired(database, { signal });
  expect(await idsLeft()).toEqual([kept.id]);
});

test('Q13 after a restore no key of the backup is accepted', async () => {
  const { secret } = await create(await newUser());
  await becomes('OK', secret);
  const auditedBy = { actor: { type: 'operator', id: null }, origin: ownOrigin } as const;
  const masterKeys = [masterKeyOf(Buffer.from(masterKey, 'base64'))] as const;
  await endAllSessions(
    { database: database.database },
    { restored: { keys: { policy: keyPolicy, masterKeys } }, ...auditedBy },
  );
  for (const at of [service, second]) await becomes('API_KEY_INVALID', secret, at);
});
