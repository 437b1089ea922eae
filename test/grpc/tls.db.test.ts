import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { createAuthority, type Issued, writeIssued } from '../support/certificates.ts';
import {
  invoke,
  type Message,
  type Outcome,
  startTestService,
  type TestService,
} from '../support/test-service.ts';
import { TrustWatch } from '../support/trust-watch.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const admin = 'spiffe://example.org/admin';
const watcher = 'watcher.example.org';
const listUsers = 'postern.v1.AdminService/ListUsers';
const health = 'grpc.health.v1.Health/Check';

const authority = createAuthority('ours');
const others = createAuthority('theirs');
const folder = mkdtempSync(join(tmpdir(), 'postern-tls-'));
const caFile = join(folder, 'ca.crt');
const listed = authority.issue({ uris: [admin] });
const watching = authority.issue({ dns: [watcher] });
const unlisted = authority.issue({ uris: ['spiffe://example.org/other'] });
const server = authority.issue({ dns: ['localhost'] });
const clients: grpc.Client[] = [];
let service: TestService;

beforeAll(async () => {
  writeFileSync(caFile, authority.cert);
  const paths = writeIssued(folder, 'server', server);
  service = await startTestService(
    {
      POSTERN_TLS_CERT: paths.cert,
      POSTERN_TLS_KEY: paths.key,
      POSTERN_TLS_CLIENT_CA: caFile,
      POSTERN_TLS_ADMIN_IDENTITIES: `someone.example.org, ${admin}`,
      POSTERN_TLS_SERVICE_IDENTITIES: watcher,
      POSTERN_ISSUER: 'https://127.0.0.1:8080',
    },
    undefined,
    credentialsOf(unlisted),
  );
  await service.addUser(email, password);
});
afterAll(async () => {
  for (const client of clients) client.close();
  await service.stop();
  rmSync(folder, { recursive: true });
});

function credentialsOf(certificate: Issued | null): grpc.ChannelCredentials {
  const [key, cert] = certificate
    ? [Buffer.from(certificate.key), Buffer.from(certificate.cert)]
    : [null, null];
  return grpc.credentials.createSsl(Buffer.from(authority.cert), key, cert);
}

/** A client with a connection of its own. */
function clientOf(certificate: Issued | null): grpc.Client {
  const alone = { 'grpc.use_local_subchannel_pool': 1 };
  const client = new grpc.Client(service.grpcAddress, credentialsOf(certificate), alone);
  clients.push(client);
  return client;
}

function callAs(
  certificate: Issued | null,
  method: string,
  request: Message = {},
  headers: Record<string, string> = {},
): Promise<Outcome> {
  return invoke(clientOf(certificate), method, request, grpc.Metadata.fromHttp2Headers(headers));
}

const verdictOf = async (outcome: Promise<Outcome>) => {
  const { code, reason } = await outcome;
  return reason ?? grpc.status[code];
};

/** Shakes hands with the gRPC port. @returns the socket once the server has spoken, or what it was refused with */
function handshake(options: ConnectionOptions): Promise<TLSSocket | string> {
  const [host = '', port = ''] = service.grpcAddress.split(':');
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: Number(port),
      ca: authority.cert,
      ALPNProtocols: ['h2'],
      ...options,
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    // A TLS 1.3 client believes itself connected before the server has seen its certificate.
    socket.once('data', () => resolve(socket));
    socket.once('close', () => resolve('closed'));
  });
}

async function servedCertificate(): Promise<string> {
  const socket = await handshake(listed);
  if (typeof socket === 'string') throw new Error(socket);
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

function fetchWith(
  path: string,
  options: object = {},
): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const request = get(
      service.httpUrl + path,
      { ca: authority.cert, agent: false, ...options },
      (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.once('end', () => resolve({ status: response.statusCode, body }));
      },
    );
    request.once('error', reject);
  });
}

const fingerprintOf = ({ cert }: Issued) => new X509Certificate(cert).fingerprint256;

describe('the handshake', () => {
  test.each([
    ['TLSv1.1', 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION'],
    ['TLSv1.2', 'TLSv1.2'],
    ['TLSv1.3', 'TLSv1.3'],
  ] as const)('N09 of %s comes to %s', async (version, end) => {
    const weak = { minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' };
    const socket = await handshake({ ...listed, ...weak });
    expect(typeof socket === 'string' ? socket : socket.getProtocol()).toBe(end);
    if (typeof socket !== 'string') socket.destroy();
    const http = fetchWith('/livez', weak);
    if (version === 'TLSv1.1') await expect(http).rejects.toThrow('alert protocol version');
    else expect(await http).toMatchObject({ status: 200 });
  });

  test.each<[string, Issued | null]>([
    ['no certificate', null],
    ['a certificate of another authority', others.issue({ uris: [admin] })],
    ['an expired certificate', authority.issue({ uris: [admin], validForMs: -60_000 })],
  ])('N09 with %s reaches no method', async (_name, certificate) => {
    const before = service.logLines.length;
    expect(await verdictOf(callAs(certificate, health))).toBe('UNAVAILABLE');
    expect(await handshake(certificate ?? {})).toMatch(/ALERT|ECONNRESET|closed/);
    expect(service.logLines.slice(before).filter((line) => line.includes('"method"'))).toEqual([]);
    expect(await verdictOf(callAs(unlisted, health))).toBe('OK');
  });

  test('N21 that fails is logged once a minute for each reason, and counted', async () => {
    const linesOf = () =>
      service.logLines
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter(({ event }) => event === 'connection-refused');
    const countsOf = async () => {
      const { body } = await fetchWith('/metrics');
      const found = body.matchAll(
        /^postern_handshakes_failed_total\{listener="grpc",reason="([\w-]+)"\} (\d+)$/gm,
      );
      return new Map([...found].map(([, reason = '', count]) => [reason, Number(count)]));
    };
    const before = await countsOf();
    for (let time = 0; time < 3; time += 1) {
      await handshake({});
      await handshake(others.issue({ uris: [admin] }));
      await handshake(authority.issue({ uris: [admin], validForMs: -60_000 }));
      const plain = new grpc.Client(service.grpcAddress, grpc.credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
      });
      clients.push(plain);
      expect(await verdictOf(invoke(plain, health, {}))).toBe('UNAVAILABLE');
    }
    const after = await countsOf();
    for (const reason of ['no-certificate', 'untrusted-certificate', 'expired-certificate', 'plaintext']) {
      expect((after.get(reason) ?? 0) - (before.get(reason) ?? 0)).toBeGreaterThanOrEqual(3);
      const [line, ...later] = linesOf().filter((told) => told['reason'] === reason);
      expect(line).toMatchObject({ level: 'info', listener: 'grpc', peer: '127.0.0.1' });
      // A second one if this test takes more than a minute.
      expect(later.length).toBeLessThanOrEqual(1);
    }
  });

  test('N09 is made in full every time, so that no session outlives its certificate', async () => {
    const version = { maxVersion: 'TLSv1.2' } as const;
    const first = await handshake({ ...listed, ...version });
    if (typeof first === 'string') throw new Error(first);
    const session = first.getSession();
    first.destroy();
    const again = await handshake({ ...listed, ...version, ...(session && { session }) });
    expect(typeof again === 'string' ? again : again.isSessionReused()).toBe(false);
    if (typeof again !== 'string') again.destroy();
  });
});

describe('a certificate without a token', () => {
  const audited = () =>
    service.database.query(
      `SELECT action, outcome, reason, actor_type, actor_id FROM audit_events ORDER BY id DESC LIMIT 1`,
    );

  test('N09 A07 administers under a listed name, and the audit trail knows it', async () => {
    expect(await verdictOf(callAs(listed, listUsers))).toBe('OK');
    expect(await audited()).toEqual([
      { action: 'user.read', outcome: 'ok', reason: null, actor_type: 'certificate', actor_id: admin },
    ]);
    const made = await callAs(listed, 'postern.v1.AdminService/CreateUser', { email: 'bob@example.com' });
    expect(made.code).toBe(grpc.status.OK);
    expect(await audited()).toMatchObject([{ action: 'user.create', actor_id: admin }]);
  });

  test.each([
    ['another name', unlisted, 'spiffe://example.org/other'],
    ['a name that may watch', watching, watcher],
  ])('N09 A02 does not administer under %s', async (_name, certificate, actor) => {
    expect(await verdictOf(callAs(certificate, listUsers))).toBe('ADMIN_REQUIRED');
    expect(await audited()).toMatchObject([
      { outcome: 'refused', reason: 'ADMIN_REQUIRED', actor_type: 'certificate', actor_id: actor },
    ]);
  });

  test('N21 A02 is refused with the names that it shows, and so says the log', async () => {
    const many = authority.issue({
      dns: ['a.example.org', 'b.example.org'],
      uris: ['spiffe://example.org/c', 'spiffe://example.org/d'],
    });
    service.logLines.length = 0;
    const { code, message } = await callAs(many, listUsers);
    expect(code).toBe(grpc.status.PERMISSION_DENIED);
    const shown = "'a.example.org', 'b.example.org', 'spiffe://example.org/c' and 1 more";
    expect(message).toBe(
      `the client certificate shows ${shown}, which POSTERN_TLS_ADMIN_IDENTITIES does not list; ` +
        'list one of its names there, or send an access token of an administrator',
    );
    const watch = new TrustWatch(service.grpcAddress, '', { credentials: credentialsOf(unlisted) });
    expect((await watch.end).message).toMatch(
      /'spiffe:\/\/example.org\/other'.*POSTERN_TLS_SERVICE_IDENTITIES/,
    );
    const details = service.logLines
      .map((line) => JSON.parse(line) as { event: string; reason?: string; detail?: string })
      .filter(({ reason }) => reason === 'ADMIN_REQUIRED' || reason === 'SERVICE_REQUIRED')
      .map(({ detail }) => detail);
    expect(details).toEqual([
      `the client certificate shows ${shown}`,
      "the client certificate shows 'spiffe://example.org/other'",
    ]);
  });

  test('N21 A02 is refused as showing no name, if it has only a common name', async () => {
    const nameless = authority.issue({});
    for (const method of [listUsers, 'postern.v1.AdminService/GetUser']) {
      const { reason, message } = await callAs(nameless, method);
      expect(reason).toBe('CREDENTIALS_MISSING');
      expect(message).toMatch(/^the client certificate shows no URI and no DNS name in its subjectAltName/);
    }
    const watch = new TrustWatch(service.grpcAddress, '', { credentials: credentialsOf(nameless) });
    expect((await watch.end).message).toMatch(/shows no URI/);
    const login = await callAs(nameless, 'postern.v1.AuthService/Login', { email, password });
    expect(login.code).toBe(grpc.status.OK);
  });

  test('N09 no header lends a name', async () => {
    const spiffe = `By=spiffe://example.org/proxy;URI=${admin}`;
    for (const name of ['x-forwarded-client-cert', 'x-client-cert', 'x-ssl-client-s-dn', 'ssl-client-cert'])
      expect(await verdictOf(callAs(unlisted, listUsers, {}, { [name]: spiffe }))).toBe('ADMIN_REQUIRED');
  });

  test('N09 watches under a listed name', async () => {
    const options = (certificate: Issued) => ({ credentials: credentialsOf(certificate) });
    const watch = new TrustWatch(service.grpcAddress, '', options(watching));
    await watch.complete();
    await watch.close();
    for (const certificate of [listed, unlisted])
      expect((await new TrustWatch(service.grpcAddress, '', options(certificate)).end).reason).toBe(
        'SERVICE_REQUIRED',
      );
  });

  test('N09 is no person', async () => {
    const change = { current_password: password, new_password: 'another horse battery' };
    expect(await verdictOf(callAs(listed, 'postern.v1.AuthService/ChangePassword', change))).toBe(
      'CREDENTIALS_MISSING',
    );
  });
});

test('N09 a token beside a certificate is judged alone', async () => {
  const token = await service.tokenOf(email, password);
  const as = (authorization: string) => verdictOf(callAs(listed, listUsers, {}, { authorization }));
  expect(await as(`Bearer ${token}`)).toBe('ADMIN_REQUIRED');
  expect(await as('Bearer junk')).toBe('TOKEN_MALFORMED');
  expect(await as('Basic YTpi')).toBe('CREDENTIALS_MISSING');
  await service.addUser('eve@example.com', password, ['admin']);
  const authorization = `Bearer ${await service.tokenOf('eve@example.com', password)}`;
  expect(await verdictOf(callAs(unlisted, listUsers, {}, { authorization }))).toBe('OK');
});

test('N09 HTTP speaks TLS and asks no certificate of its callers', async () => {
  const discovery = await fetchWith('/.well-known/openid-configuration');
  expect(JSON.parse(discovery.body)).toMatchObject({
    issuer: 'https://127.0.0.1:8080',
    jwks_uri: 'https://127.0.0.1:8080/.well-known/jwks.json',
  });
  for (const path of ['/.well-known/jwks.json', '/livez', '/readyz'])
    expect((await fetchWith(path)).status).toBe(200);
  await expect(fetchWith('/livez', { ca: others.cert })).rejects.toThrow();
  await expect(fetch(`${service.httpUrl.replace('https:', 'http:')}/livez`)).rejects.toThrow();
});

describe('new files', () => {
  const tlsOf = () => {
    if (!service.tls) throw new Error('no TLS');
    return service.tls;
  };
  const events = () => service.logLines.filter((line) => line.includes('certificate-'));
  beforeEach(async () => {
    writeFileSync(caFile, authority.cert);
    writeIssued(folder, 'server', server);
    await tlsOf().reload();
    service.logLines.length = 0;
  });

  test('N09 are taken up under a stream of calls, of which none fails', async () => {
    const open = clientOf(unlisted);
    const failed: string[] = [];
    let answered = 0;
    let going = true;
    const keepCalling = async (client: () => grpc.Client) => {
      while (going) {
        const verdict = await verdictOf(invoke(client(), health, {}));
        if (verdict !== 'OK') failed.push(verdict);
        answered += 1;
      }
    };
    const callers = [keepCalling(() => open), keepCalling(() => open), keepCalling(() => clientOf(unlisted))];
    const answers = async (more: number) => {
      const enough = answered + more;
      while (answered < enough) await verdictOf(invoke(open, health, {}));
    };
    await answers(50);
    for (let round = 0; round < 5; round += 1) {
      const renewed = authority.issue({ dns: ['localhost'], validForMs: (40 + round) * 86_400_000 });
      writeIssued(folder, 'server', renewed);
      await tlsOf().reload();
      expect(await servedCertificate()).toBe(fingerprintOf(renewed));
      await answers(50);
    }
    going = false;
    await Promise.all(callers);
    expect(failed).toEqual([]);
    expect(events()).toHaveLength(5);
    const daysLeft = (tlsOf().expiresAtMs - Date.now()) / 86_400_000;
    expect(daysLeft).toBeGreaterThan(43.9);
    expect(daysLeft).toBeLessThan(44.1);
  });

  test.each<[string, () => void, RegExp]>([
    ['junk', () => writeFileSync(join(folder, 'server.crt'), 'junk'), /POSTERN_TLS_CERT .*certificate/],
    [
      'half a pair',
      () => writeFileSync(join(folder, 'server.key'), authority.issue({}).key),
      /POSTERN_TLS_KEY .*certificate/,
    ],
    ['no file', () => rmSync(join(folder, 'server.key')), /POSTERN_TLS_KEY .*ENOENT/],
    ['junk for authorities', () => writeFileSync(caFile, 'junk'), /POSTERN_TLS_CLIENT_CA .*certificate/],
    [
      'an expired certificate',
      () => writeIssued(folder, 'server', authority.issue({ validForMs: -1_000 })),
      /POSTERN_TLS_CERT has expired/,
    ],
  ])('N09 that are %s leave the old ones in force, with one warning', async (_name, spoil, says) => {
    spoil();
    await tlsOf().reload();
    await tlsOf().reload();
    expect(events()).toEqual([expect.stringMatching(says)]);
    expect(JSON.parse(events()[0] ?? '')).toMatchObject({ level: 'warn', event: 'certificate-unusable' });
    expect(await servedCertificate()).toBe(fingerprintOf(server));
    expect(await verdictOf(callAs(listed, listUsers))).toBe('OK');
    expect((await fetchWith('/livez')).status).toBe(200);
  });

  test('N22 with an expired certificate behind the good ones are taken up', async () => {
    const [between, renewed] = [createAuthority('between'), createAuthority('renewed')];
    const leaf = between.issue({ dns: ['localhost'], validForMs: 50 * 86_400_000 });
    const chain = [
      leaf.cert,
      authority.certify(between, 300 * 86_400_000),
      authority.certify(between, -86_400_000),
      // As DST Root CA X3 stood behind ISRG Root X1.
      renewed.certify(authority, -86_400_000),
    ].join('');
    writeIssued(folder, 'server', { cert: chain, key: leaf.key });
    await tlsOf().reload();
    expect(events()).toEqual([expect.stringContaining('certificate-reloaded')]);
    expect(Math.round((tlsOf().expiresAtMs - Date.now()) / 86_400_000)).toBe(50);
    expect(await servedCertificate()).toBe(fingerprintOf(leaf));
    expect(await verdictOf(callAs(listed, listUsers))).toBe('OK');
    const { body } = await fetchWith('/metrics');
    const [, seconds] = /^postern_tls_certificate_expiry_timestamp_seconds (\S+)$/m.exec(body) ?? [];
    expect(Math.round((Number(seconds) * 1000 - Date.now()) / 86_400_000)).toBe(50);
  });

  test('N22 with an expired intermediate that is needed leave the old ones in force', async () => {
    const between = createAuthority('between');
    const leaf = between.issue({ dns: ['localhost'] });
    writeIssued(folder, 'server', { ...leaf, cert: leaf.cert + authority.certify(between, -86_400_000) });
    await tlsOf().reload();
    // Nothing but the intermediate leads to the authority, although peers know it.
    expect(events()).toEqual([expect.stringMatching(/certificate-unusable/)]);
    expect(await servedCertificate()).toBe(fingerprintOf(server));
  });

  test('N09 of other authorities let their certificates in, and the old ones no more', async () => {
    writeFileSync(caFile, others.cert);
    await tlsOf().reload();
    expect(await verdictOf(callAs(listed, listUsers))).toBe('UNAVAILABLE');
    expect(await verdictOf(callAs(others.issue({ uris: [admin] }), listUsers))).toBe('OK');
  });

  test('N09 reach HTTP as well, and one that ends soon is warned of', async () => {
    const renewed = authority.issue({ validForMs: 13 * 86_400_000 });
    writeIssued(folder, 'server', renewed);
    await tlsOf().reload();
    await tlsOf().reload();
    const served = await new Promise<string>((resolve, reject) => {
      const { port } = new URL(service.httpUrl);
      const socket = connect({ host: '127.0.0.1', port: Number(port), ca: authority.cert }, () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.once('error', reject);
    });
    expect(served).toBe(fingerprintOf(renewed));
    expect(events().map((line) => (JSON.parse(line) as { event: string }).event)).toEqual([
      'certificate-reloaded',
      'certificate-expiring',
    ]);
  });
});
