import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { createAuthClient, serviceCredential } from '../../../src/client/postern-client.ts';
import { LOGIN_THROTTLE_POLICY } from '../../../src/features/authentication/throttle/throttle-policy.ts';
import { createAuthority, type Issued, writeIssued } from '../../support/certificates.ts';
import { type Credentials, openAdminFixture, type AdminFixture } from '../../support/admin-fixture.ts';
import { invoke, type Outcome, startTestService, type TestService } from '../../support/test-service.ts';

const password = 'correct horse battery';
const gateway = 'spiffe://example.org/gateway';
const free = LOGIN_THROTTLE_POLICY.delaysSeconds.findIndex((delay) => delay > 0) + 1;
const authority = createAuthority('ours');
const folder = mkdtempSync(join(tmpdir(), 'postern-vouching-'));
const caFile = join(folder, 'ca.crt');
const listed = authority.issue({ uris: [gateway] });
const unlisted = authority.issue({ uris: ['spiffe://example.org/other'] });
/** Plaintext listener, for callers with tokens. */
let service: TestService;
/** TLS listener, for callers with certificates. */
let secured: TestService;
let fixture: AdminFixture;
let account: Credentials;
let email: string;
let count = 0;
const clients = new Map<Issued | null, grpc.Client>();
const alone = { 'grpc.use_local_subchannel_pool': 1 };

beforeAll(async () => {
  writeFileSync(caFile, authority.cert);
  const server = writeIssued(folder, 'server', authority.issue({}));
  service = await startTestService();
  secured = await startTestService(
    {
      POSTERN_TLS_CERT: server.cert,
      POSTERN_TLS_KEY: server.key,
      POSTERN_TLS_CLIENT_CA: caFile,
      POSTERN_TLS_SERVICE_IDENTITIES: gateway,
    },
    service.database,
  );
  clients.set(null, new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure(), alone));
  for (const certificate of [listed, unlisted]) {
    const { cert, key } = certificate;
    const secure = grpc.credentials.createSsl(
      Buffer.from(authority.cert),
      Buffer.from(key),
      Buffer.from(cert),
    );
    clients.set(certificate, new grpc.Client(secured.grpcAddress, secure, alone));
  }
  fixture = await openAdminFixture(service.database);
  account = await fixture.createService('gateway');
});
afterAll(async () => {
  for (const client of clients.values()) client.close();
  await secured.stop();
  await service.stop();
  rmSync(folder, { recursive: true });
});
beforeEach(async () => {
  count += 1;
  email = `user${count}@example.com`;
  await service.addUser(email, password);
});

interface Attempt {
  readonly typed?: string;
  readonly address?: string;
  readonly certificate?: Issued | null;
  readonly token?: string;
}

function call(certificate: Issued | null, method: string, request: object, token?: string): Promise<Outcome> {
  const client = clients.get(certificate);
  if (!client) throw new Error('no such client');
  const headers = new grpc.Metadata();
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  return invoke(client, `postern.v1.AuthService/${method}`, { ...request }, headers);
}
const login = ({ typed = password, address = '192.0.2.7', certificate = null, token }: Attempt) =>
  call(certificate, 'Login', { email, password: typed, client: { address, user_agent: 'a browser' } }, token);

/** The client address of a failed login in the audit trail: null for this machine. */
async function originOf(attempt: Attempt): Promise<unknown> {
  const { reason } = await login({ ...attempt, typed: 'wrong' });
  expect(reason).toBe('INVALID_CREDENTIALS');
  const [row] = await service.database.query(
    `SELECT host(client_address) AS address FROM audit_events WHERE action = 'login' AND outcome = 'refused'
     ORDER BY id DESC LIMIT 1`,
  );
  return row?.['address'];
}

async function tokenOf({ id, secret }: Credentials): Promise<string> {
  const { response } = await call(null, 'IssueServiceToken', { client_id: id, client_secret: secret });
  return String(response?.['access_token']);
}
async function userToken(): Promise<string> {
  return String((await login({})).response?.['access_token']);
}
const notTrustedReasons = () =>
  [...service.logLines, ...secured.logLines]
    .map((line) => JSON.parse(line) as { event: string; detail: string })
    .filter(({ event }) => event === 'client-not-believed')
    .map(({ detail }) => detail.split(':')[0]);

describe('L12 whose `client` is trusted', () => {
  test('a service account with its access token', async () => {
    expect(await originOf({ token: await tokenOf(account) })).toBe('192.0.2.7');
    expect((await login({ token: await tokenOf(account) })).code).toBe(grpc.status.OK);
  });

  test('a service with a listed certificate', async () => {
    expect(await originOf({ certificate: listed })).toBe('192.0.2.7');
  });

  test('the shipped client with a service credential', async () => {
    const upstream = { address: service.grpcAddress };
    const credential = serviceCredential(upstream, { clientId: account.id, clientSecret: account.secret });
    const client = createAuthClient({ ...upstream, credential });
    const reported = { address: '198.51.100.3', userAgent: 'a browser' };
    const { userId } = await client.login({ email, password, client: reported });
    client.close();
    credential.close();
    const [row] = await service.database.query(
      `SELECT host(client_address) AS address, user_agent FROM audit_events WHERE action = 'login' AND actor_id = $1`,
      [userId],
    );
    expect(row).toEqual({ address: '198.51.100.3', user_agent: 'a browser' });
  });

  test('no other caller: the login continues with the peer address, and the log says why', async () => {
    const user = await userToken();
    const revoked = await tokenOf(account);
    await call(null, 'RevokeToken', { token: revoked });
    expect(notTrustedReasons()).toEqual([]);
    const attempts: readonly [attempt: Attempt, reason: string | null][] = [
      [{}, null],
      [{ token: user }, 'SERVICE_REQUIRED'],
      [{ token: 'junk' }, 'TOKEN_MALFORMED'],
      [{ token: revoked }, 'TOKEN_REVOKED'],
      [{ certificate: unlisted }, 'SERVICE_REQUIRED'],
      // A caller that sends a token is judged by the token alone.
      [{ certificate: listed, token: 'junk' }, 'TOKEN_MALFORMED'],
    ];
    for (const [attempt] of attempts) {
      expect(await originOf(attempt)).toBeNull();
      await service.database.query('DELETE FROM login_throttle');
      expect((await login(attempt)).code).toBe(grpc.status.OK);
    }
    const reasons = attempts.flatMap(([, reason]) => (reason === null ? [] : [reason]));
    expect(notTrustedReasons()).toEqual(reasons);
    expect([...service.logLines, ...secured.logLines].join('\n')).not.toContain(user);
  });
});

test('L10 L12 behind a gateway with a service credential one guessing client does not throttle the others', async () => {
  const token = await tokenOf(account);
  for (let n = 0; n < free; n += 1) await login({ token, typed: 'wrong' });
  expect((await login({ token })).reason).toBe('LOGIN_RATE_LIMITED');
  expect((await login({ token, address: '192.0.2.8' })).code).toBe(grpc.status.OK);
});

test('L10 L12 all notations of an IPv4 address are one source, and another address is another', async () => {
  const token = await tokenOf(account);
  const forms = [
    '192.0.2.7',
    '::ffff:192.0.2.7',
    '::FFFF:C000:207',
    '0:0:0:0:0:ffff:192.0.2.7',
    '64:ff9b::192.0.2.7',
  ];
  expect(forms.length).toBe(free);
  for (const address of forms) await login({ token, address, typed: 'wrong' });
  for (const address of forms) expect((await login({ token, address })).reason).toBe('LOGIN_RATE_LIMITED');
  expect((await login({ token, address: '::ffff:192.0.2.8' })).code).toBe(grpc.status.OK);
  expect(await originOf({ token, address: '::ffff:c000:209' })).toBe('192.0.2.9');
});

describe('a gateway passes on what its clients send', () => {
  test.each([
    ['the 267 bytes of an in-app browser', 'x'.repeat(267), 'x'.repeat(256)],
    ['letters of two bytes', '\u00e4'.repeat(200), '\u00e4'.repeat(128)],
    ['control characters', 'a\tb\0c\u001b[2J', 'a\ufffdb\ufffdc\ufffd[2J'],
  ])('L12 a user agent decides about no login: %s', async (_, sent, kept) => {
    const token = await tokenOf(account);
    const client = { address: '192.0.2.7', user_agent: sent };
    const { code } = await call(null, 'Login', { email, password, client }, token);
    expect(code).toBe(grpc.status.OK);
    const agents = await service.database.query(
      `SELECT s.user_agent FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.email = $1
       UNION ALL SELECT user_agent FROM audit_events WHERE action = 'login' AND actor_id =
         (SELECT id::text FROM users WHERE email = $1)`,
      [email],
    );
    expect(agents).toEqual([{ user_agent: kept }, { user_agent: kept }]);
  });

  test.each([
    ['with a port', '192.0.2.9:4711', '192.0.2.9'],
    ['in brackets', '[2001:db8::9]:4711', '2001:db8::9'],
    ['with the zone of its interface', 'fe80::9%eth0', 'fe80::9'],
  ])('L12 an address %s', async (_, address, source) => {
    expect(await originOf({ token: await tokenOf(account), address })).toBe(source);
  });

  test('L12 an address that cannot be read decides about the throttle, so it is refused', async () => {
    const { reason, message } = await login({ token: await tokenOf(account), address: 'unknown' });
    expect([reason, message]).toEqual(['FIELD_INVALID', expect.stringContaining('client.address: ')]);
  });

  test('the shipped client logs in for a request without a user agent', async () => {
    const upstream = { address: service.grpcAddress };
    const credential = serviceCredential(upstream, { clientId: account.id, clientSecret: account.secret });
    const client = createAuthClient({ ...upstream, credential });
    const { userId } = await client.login({
      email,
      password,
      client: { address: '198.51.100.3', userAgent: undefined },
    });
    client.close();
    credential.close();
    expect(userId).not.toBe('');
  });
});
