import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';

import { createVerifier, PosternError, type Verifier } from '../../../src/client/postern-client.ts';
import { type Sidecar, startSidecar } from '../../../src/compose/sidecar/sidecar.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { formatListenAddress } from '../../../src/net/listen-address.ts';
import { openAdminFixture, type AdminFixture, type Credentials } from '../../support/admin-fixture.ts';
import { runHere } from '../../support/run-here.ts';
import { anyPorts } from '../../support/service-environment.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import {
  invoke,
  masterKey,
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../../support/test-service.ts';
import { TrustWatch } from '../../support/trust-watch.ts';
import { until } from '../../support/wait-for.ts';
import { watcherMetadata } from '../../support/watcher-metadata.ts';
import { checkedBy } from '../../services/ext-authz/check.ts';

const password = 'correct horse battery';
const settings = { POSTERN_AUDIENCE: 'postern,shop' };
let database: TestDatabase;
let service: TestService;
let second: TestService;
let fixture: AdminFixture;
let account: Credentials;
let admin: Record<string, string>;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService(settings, database);
  second = await startTestService(settings, database);
  fixture = await openAdminFixture(database);
  account = await fixture.createService('caller');
  await service.addUser('root@example.com', password, ['admin']);
  admin = { authorization: `Bearer ${await service.tokenOf('root@example.com', password)}` };
});
beforeEach(() => database.query('DELETE FROM audiences'));
afterAll(async () => {
  await service.stop();
  await second.stop();
  await database.drop();
});

const administer = (method: string, request: Message, at = service): Promise<Outcome> =>
  at.call(`postern.v1.AdminService/${method}`, request, admin);
const add = async (name: string) => {
  const { code, message } = await administer('CreateAudience', { name });
  if (code !== grpc.status.OK) throw new Error(message);
};
const issue = (audience: string, at: TestService = service) =>
  at.call('postern.v1.AuthService/IssueServiceToken', {
    client_id: account.id,
    client_secret: account.secret,
    audience,
  });
const tokenFor = async (audience: string, at: TestService = service) => {
  const { response, message } = await issue(audience, at);
  if (!response) throw new Error(message);
  return String(response['access_token']);
};
const verdict = async (token: string, at: Pick<TestService, 'call'> = service) => {
  const { code, reason } = await at.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  return code === grpc.status.OK ? 'good' : reason;
};
const knows = (at: TestService, audience: string) => async () =>
  (await issue(audience, at)).code === grpc.status.OK;

test('the list has those of POSTERN_AUDIENCE, the default first, and the added ones by name; adding is idempotent', async () => {
  await add('zebra');
  await add('Billing');
  await add('zebra');
  await add('shop');
  const { response } = await administer('ListAudiences', {});
  const listed = response?.['audiences'] as { name: string; created_at: object | null }[];
  expect(listed.map(({ name, created_at }) => [name, created_at !== null])).toEqual([
    ['postern', false],
    ['shop', false],
    ['Billing', true],
    ['zebra', true],
  ]);
  expect((await administer('DeleteAudience', { name: 'shop' })).reason).toBe('FIELD_INVALID');
  expect((await administer('DeleteAudience', { name: 'nobody' })).reason).toBe('RESOURCE_NOT_FOUND');
  const events = await database.query(
    `SELECT target_id FROM audit_events WHERE action = 'audience.create' AND outcome = 'ok' ORDER BY id`,
  );
  expect(events.map(({ target_id }) => target_id)).toEqual(['zebra', 'Billing']);
});

test.each([
  ['', 'empty'],
  ['a,b', 'a comma'],
  ['a b', 'a space'],
  ['naïve', 'not ASCII'],
  ['*', 'every audience'],
  ['a'.repeat(257), 'too long'],
  ['a'.repeat(240), 'no room for roles beside the issuer (T26)'],
])('the name %p is refused: %s', async (name) => {
  expect(await administer('CreateAudience', { name })).toMatchObject({ reason: 'FIELD_INVALID' });
});

test('at most 256 are added, also by calls at the same time', async () => {
  await database.query(`INSERT INTO audiences (name) SELECT 'filler-' || n FROM generate_series(1, 254) n`);
  const outcomes = await Promise.all(
    ['one', 'two', 'three', 'four'].map((name, index) =>
      administer('CreateAudience', { name }, index % 2 === 0 ? service : second),
    ),
  );
  expect(outcomes.map(({ reason }) => reason ?? 'good').sort()).toEqual([
    'AUDIENCE_LIMIT_REACHED',
    'AUDIENCE_LIMIT_REACHED',
    'good',
    'good',
  ]);
  expect(await database.query('SELECT count(*)::int FROM audiences')).toEqual([{ count: 256 }]);
});

test('the instance that answers knows the change already, also when it reads it at the same time', async () => {
  for (let round = 0; round < 5; round += 1) {
    await add('quick');
    const token = await tokenFor('quick');
    expect(await verdict(token)).toBe('good');
    await administer('DeleteAudience', { name: 'quick' });
    expect(await verdict(token)).toBe('TOKEN_CLAIMS_INVALID');
    expect((await issue('quick')).reason).toBe('FIELD_INVALID');
  }
});

test('W20 a session for an audience that was deleted is not refreshed', async () => {
  await add('brief');
  const { response } = await service.call('postern.v1.AuthService/Login', {
    email: 'root@example.com',
    password,
    audience: 'brief',
  });
  const refresh_token = response?.['refresh_token'];
  await administer('DeleteAudience', { name: 'brief' });
  const refused = await service.call('postern.v1.AuthService/RefreshToken', { refresh_token });
  expect(refused.reason).toBe('REFRESH_TOKEN_REVOKED');
  await add('brief');
  expect((await service.call('postern.v1.AuthService/RefreshToken', { refresh_token })).code).toBe(
    grpc.status.OK,
  );
});

test('the command line adds, lists and deletes, and running instances learn it', async () => {
  const environment = { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey, ...settings };
  const postern = (...words: string[]) => runHere(['audience', ...words], { environment });
  expect((await postern('add', 'from-cli')).stdout).toMatch(/^from-cli is an audience since \d{4}-/);
  await until(knows(second, 'from-cli'), 'an instance learns it');
  expect((await postern('add', 'shop')).stdout).toContain('POSTERN_AUDIENCE already');
  expect((await postern('list')).stdout).toMatch(
    /^AUDIENCE +ADDED\npostern +POSTERN_AUDIENCE\nshop .*\nfrom-cli +\d{4}-/,
  );
  const token = await tokenFor('from-cli');
  expect((await postern('delete', 'from-cli')).stdout).toContain('deleted from-cli');
  await until(
    async () => (await verdict(token, second)) === 'TOKEN_CLAIMS_INVALID',
    'its tokens are refused',
  );
  expect((await postern('delete', 'from-cli')).exitCode).not.toBe(0);
});

test('an instance that starts knows the added audiences before it accepts a call', async () => {
  await add('earlier');
  const token = await tokenFor('earlier');
  const third = await startTestService(settings, database);
  // From the first keys on, never TOKEN_CLAIMS_INVALID.
  const verdicts = new Set<string | undefined>();
  await until(async () => {
    const seen = await verdict(token, third);
    verdicts.add(seen);
    return seen === 'good';
  }, 'the third instance accepts it');
  verdicts.delete('TRUST_STALE');
  expect([...verdicts]).toEqual(['good']);
  await third.stop();
});

describe('W20 every verifier learns an audience while it runs', () => {
  let sidecar: Sidecar;
  let verifier: Verifier;
  let client: grpc.Client;
  beforeAll(async () => {
    const credential = await fixture.createService('verifiers');
    sidecar = await startSidecar(
      loadSettings(
        { ...anyPorts, POSTERN_CLIENT_ID: credential.id, POSTERN_CLIENT_SECRET: credential.secret },
        { for: 'sidecar' },
      ),
      { trust: second.grpcAddress, tokens: second.grpcAddress },
      pino({ level: 'silent' }),
      () => 0,
    );
    client = new grpc.Client(formatListenAddress(sidecar.grpc), grpc.credentials.createInsecure());
    verifier = createVerifier({
      trust: {
        upstream: { address: second.grpcAddress },
        credential: { clientId: credential.id, clientSecret: credential.secret },
      },
    });
    expect(await verifier.ready(60_000)).toBe(true);
  });
  afterAll(async () => {
    client.close();
    verifier.close();
    await sidecar.stop();
  });
  const atSidecar = { call: (method: string, request: Message) => invoke(client, method, request) };
  const inProcess = async (token: string) => {
    try {
      await verifier.verify(token);
      return 'good';
    } catch (error) {
      return error instanceof PosternError ? error.reason : String(error);
    }
  };

  test('added at one instance, accepted by the other, its sidecar, its in-process verifier and Check; deleted, refused', async () => {
    await add('late');
    const token = await tokenFor('late');
    await until(async () => (await verdict(token, second)) === 'good', 'the second instance');
    await until(async () => (await verdict(token, atSidecar)) === 'good', 'the sidecar');
    await until(async () => (await inProcess(token)) === 'good', 'the in-process verifier');
    const checked = () =>
      checkedBy(atSidecar, { headers: { authorization: `Bearer ${token}` } }, { audience: 'late' });
    expect((await checked()).allowed).toBe(true);

    expect((await administer('DeleteAudience', { name: 'late' })).code).toBe(grpc.status.OK);
    expect(await verdict(token)).toBe('TOKEN_CLAIMS_INVALID');
    const refusedMs = await until(async () => {
      const verdicts = [
        await verdict(token, second),
        await verdict(token, atSidecar),
        await inProcess(token),
      ];
      return verdicts.every((each) => each === 'TOKEN_CLAIMS_INVALID');
    }, 'refused everywhere');
    expect(refusedMs).toBeLessThan(10_000);
    // A route that names it is misconfigured now.
    expect((await checked()).allowed).toBe(false);
  });

  test('the stream sends the keys again with the new list, as every release reads it, and only then', async () => {
    const watch = new TrustWatch(second.grpcAddress, '', {
      metadata: await watcherMetadata(second, database),
    });
    await watch.complete();
    const before = watch.keys.length;
    expect(watch.keys.at(-1)?.audiences).toEqual(['postern', 'shop']);
    await add('streamed');
    await watch.until(() => watch.keys.at(-1)?.audiences.includes('streamed') === true);
    expect(watch.keys.slice(before)).toEqual([
      { ...watch.keys[before - 1], audiences: ['postern', 'shop', 'streamed'] },
    ]);
    const beats = watch.heartbeats.length;
    await watch.until(() => watch.heartbeats.length > beats);
    expect(watch.keys.length).toBe(before + 1);
    await watch.close();
  });
});
