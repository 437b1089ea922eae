import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';

import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import { certificateFindings } from '../../src/cli/doctor/certificate-findings.ts';
import { createAuthority, writeIssued } from '../support/certificates.ts';
import { until } from '../support/wait-for.ts';
import { endEveryPostern, runPostern, startPostern } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey } from '../support/test-service.ts';
import { anyPorts } from '../support/service-environment.ts';

const DAY_MS = 86_400_000;
const authority = createAuthority('ours');
const folder = mkdtempSync(join(tmpdir(), 'postern-tls-'));
const ca = join(folder, 'ca.crt');
const server = writeIssued(folder, 'server', authority.issue({}));
const watcher = writeIssued(folder, 'watcher', authority.issue({ dns: ['sidecar.example.org'] }));
const stranger = writeIssued(folder, 'stranger', authority.issue({ dns: ['stranger.example.org'] }));
writeFileSync(ca, authority.cert);
const listeners = {
  ...anyPorts,
  POSTERN_TLS_CERT: server.cert,
  POSTERN_TLS_KEY: server.key,
};
let store: TestDatabase;
let production: Record<string, string>;
beforeAll(async () => {
  store = await createTestDatabase();
  production = { DATABASE_URL: store.url, POSTERN_MASTER_KEY: masterKey, POSTERN_HASH_CONCURRENCY: '1' };
});
afterEach(endEveryPostern);
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await store.drop();
});

function readiness(http: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = get(`https://${http}/readyz`, { ca: authority.cert, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.once('error', reject);
  });
}

function servedUntil(http: string): Promise<number> {
  const [host = '', port = ''] = http.split(':');
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port), ca: authority.cert }, () => {
      resolve(Date.parse(socket.getPeerCertificate().valid_to));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

test('N09 a service on every interface loads a new certificate at SIGHUP, and serves a sidecar with a listed certificate', async () => {
  const serve = startPostern(['serve'], {
    environment: {
      ...production,
      ...listeners,
      // N10: allowed, since nothing of it is plaintext.
      POSTERN_GRPC_LISTEN: '0.0.0.0:0',
      POSTERN_TLS_CLIENT_CA: ca,
      POSTERN_TLS_SERVICE_IDENTITIES: 'sidecar.example.org',
    },
  });
  const { grpc, http, pid } = await serve.listening;
  const upstream = grpc.replace('0.0.0.0', '127.0.0.1');
  const sidecarWith = ({ cert, key }: { cert: string; key: string }) =>
    startPostern(['sidecar', '--upstream', upstream], {
      environment: {
        ...listeners,
        POSTERN_UPSTREAM_CA: ca,
        POSTERN_UPSTREAM_CERT: cert,
        POSTERN_UPSTREAM_KEY: key,
      },
    });
  const [known, unknown] = [sidecarWith(watcher), sidecarWith(stranger)];
  const { http: sidecarHttp } = await known.listening;
  await until(async () => (await readiness(sidecarHttp)) === 200, 'the sidecar is ready');
  const refused = /"upstream-lost"/;
  await until(() => refused.test(unknown.output.stderr), 'the other sidecar is refused');
  expect(unknown.output.stderr).toContain(
    "the client certificate shows 'stranger.example.org', which POSTERN_TLS_SERVICE_IDENTITIES does not list",
  );
  expect(await readiness((await unknown.listening).http)).toBe(503);

  writeIssued(folder, 'server', authority.issue({ validForMs: 10 * DAY_MS }));
  process.kill(pid, 'SIGHUP');
  await until(() => serve.output.stderr.includes('certificate-reloaded'), 'the certificate is loaded');
  expect(await servedUntil(http)).toBeLessThan(Date.now() + 11 * DAY_MS);
  expect(serve.output.stderr).toContain('certificate-expiring');
  expect(await readiness(sidecarHttp)).toBe(200);
  serve.kill('SIGTERM');
  expect((await serve.end).exitCode).toBe(0);
});

test('N09 a sidecar warns that its own certificate expires', async () => {
  const warnings = async (name: string, days: number) => {
    const presented = writeIssued(folder, name, authority.issue({ validForMs: days * DAY_MS }));
    const sidecar = startPostern(['sidecar', '--upstream', '127.0.0.1:1'], {
      environment: {
        ...anyPorts,
        POSTERN_UPSTREAM_CA: ca,
        POSTERN_UPSTREAM_CERT: presented.cert,
        POSTERN_UPSTREAM_KEY: presented.key,
      },
    });
    await sidecar.listening;
    sidecar.kill('SIGTERM');
    const { exitCode, stderr } = await sidecar.end;
    expect(exitCode).toBe(0);
    return stderr.split('\n').filter((line) => line.includes('certificate-expiring'));
  };
  const [warning = '', ...more] = await warnings('ends-soon', 10);
  expect(JSON.parse(warning)).toMatchObject({ level: 'warn', detail: 'POSTERN_UPSTREAM_CERT' });
  expect(more).toEqual([]);
  expect(await warnings('ends-late', 60)).toEqual([]);
});

test('N09 N10 serve accepts no plaintext from other machines, and reports each fault in a line', async () => {
  const { exitCode, stderr, stdout } = await runPostern(['serve'], {
    environment: {
      ...production,
      POSTERN_GRPC_LISTEN: '0.0.0.0:0',
      POSTERN_HTTP_LISTEN: '0.0.0.0:0',
      POSTERN_TLS_CLIENT_CA: join(folder, 'nowhere'),
    },
  });
  expect([exitCode, stdout]).toEqual([3, '']);
  for (const name of ['POSTERN_GRPC_LISTEN', 'POSTERN_HTTP_LISTEN'])
    expect(stderr).toMatch(new RegExp(`- ${name} .*plaintext`));
  expect(stderr).toMatch(/- POSTERN_TLS_CLIENT_CA .*TLS/);
  expect(stderr).toMatch(/- POSTERN_TLS_CLIENT_CA .*\(ENOENT\)/);
});

test.each([
  ['is valid', 90, 'ok', / \d{4}-\d\d-\d\d, for (89|90) days/],
  ['expires soon', 3, 'warning', /for [23] days/],
])('N09 a certificate that %s is reported', (_name, days, verdict, message) => {
  const { cert } = writeIssued(folder, 'looked-at', authority.issue({ validForMs: days * DAY_MS }));
  const settings = { tlsCert: cert, tlsClientCa: null, upstreamCa: 'system', upstreamCert: null };
  expect(certificateFindings(settings)).toMatchObject([{ verdict, message: expect.stringMatching(message) }]);
});

describe('N22 doctor', () => {
  const between = createAuthority('between');
  const leaf = between.issue({ validForMs: 40 * DAY_MS + 3_600_000 });
  const [good, old] = [authority.certify(between, 90 * DAY_MS), authority.certify(between, -DAY_MS)];
  const findingsOf = (chain: string[], authorities: string[] | null = null) => {
    const files = { tlsCert: join(folder, 'chain'), tlsClientCa: authorities && join(folder, 'authorities') };
    writeFileSync(files.tlsCert, chain.join(''));
    if (files.tlsClientCa !== null) writeFileSync(files.tlsClientCa, (authorities ?? []).join(''));
    return certificateFindings({ ...files, upstreamCa: null, upstreamCert: null }).map(
      ({ verdict, message }) => `${verdict} ${message.replace(/\d{4}-\d\d-\d\d/g, 'DAY')}`,
    );
  };
  const valid = 'ok POSTERN_TLS_CERT is valid until DAY, for 40 days';
  const expired = 'fault POSTERN_TLS_CERT expired on DAY';

  test('counts an expired certificate only if the chain needs it', () => {
    expect(findingsOf([leaf.cert, good, old])).toEqual([valid]);
    expect(findingsOf([leaf.cert, old])).toEqual([expired]);
    const crossed = [leaf.cert, good, createAuthority('older').certify(authority, -DAY_MS)];
    expect(findingsOf(crossed)).toEqual([expired]);
    expect(findingsOf(crossed, [authority.cert])[0]).toBe(valid);
    expect(findingsOf(crossed, ['junk'])[0]).toBe(expired);
  });

  test('takes a file of CA certificates with an old one in it', () => {
    const findings = (authorities: string[]) => findingsOf([leaf.cert, good], authorities)[1];
    expect(findings([authority.cert, old])).toMatch(
      /^warning POSTERN_TLS_CLIENT_CA is valid until DAY, for 36[45] days; of its 2 CA certificates, 1 expired earlier$/,
    );
    expect(findings([old])).toBe('fault POSTERN_TLS_CLIENT_CA expired on DAY');
    expect(findings([authority.cert])).toMatch(/^ok /);
  });
});

test('N23 doctor tells who may connect to the sockets, and binds none wider', async () => {
  const doctor = async (environment: Record<string, string>) =>
    (
      await runPostern(['doctor'], {
        environment: {
          POSTERN_GRPC_LISTEN: `unix:${join(folder, 'grpc.sock')}`,
          POSTERN_HTTP_LISTEN: '127.0.0.1:0',
          POSTERN_DATA_DIR: join(folder, 'none'),
          ...environment,
        },
      })
    ).stdout;
  expect(await doctor({})).toMatch(/^ok {4}ports +the unix sockets have the mode 0600$/m);
  const group = String(process.getgid?.());
  expect(await doctor({ POSTERN_SOCKET_GROUP: group, POSTERN_SOCKET_MODE: '0666' })).toMatch(
    new RegExp(`mode 0666 and the group ${group}: every user of this machine may connect$`, 'm'),
  );
  expect(await doctor({ POSTERN_SOCKET_GROUP: 'nobody-has-this-name' })).toMatch(
    /^FAIL {2}settings +POSTERN_SOCKET_GROUP names no group/m,
  );
});

test('N09 doctor reports each certificate, and fails for an expired one', async () => {
  const { cert, key } = writeIssued(folder, 'ended', authority.issue({ validForMs: -DAY_MS }));
  const { exitCode, stdout } = await runPostern(['doctor'], {
    environment: {
      ...listeners,
      POSTERN_DATA_DIR: join(folder, 'none'),
      POSTERN_TLS_CERT: cert,
      POSTERN_TLS_KEY: key,
      POSTERN_TLS_CLIENT_CA: ca,
      POSTERN_UPSTREAM_CA: join(folder, 'nowhere'),
    },
  });
  expect(stdout).toMatch(/^FAIL {2}certificates {2}POSTERN_TLS_CERT expired .*\d{4}-\d\d-\d\d$/m);
  expect(stdout).toMatch(/^ok {4}certificates {2}POSTERN_TLS_CLIENT_CA .*\d{4}-\d\d-\d\d/m);
  expect(stdout).toMatch(/^FAIL {2}certificates {2}POSTERN_UPSTREAM_CA .*\(ENOENT\)$/m);
  expect(exitCode).toBe(3);
});
