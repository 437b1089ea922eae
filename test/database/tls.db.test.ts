import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { connectClient } from '../../src/database/connection/connect-client.ts';
import { serversOf } from '../../src/database/connection/database-address.ts';
import { type DatabaseFault, databaseFaultsOf } from '../../src/database/database-fault.ts';
import { createAuthority, type Issued } from '../support/certificates.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { masterKey } from '../support/service-environment.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService } from '../support/test-service.ts';
import { TlsDatabaseProxy } from '../support/tls-database-proxy.ts';
import { until } from '../support/wait-for.ts';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'postern-database-tls-'));
const authority = createAuthority('the authority');
const other = createAuthority('another authority');
const good = authority.issue({ dns: ['db.example'] });
const expired = authority.issue({ validForMs: -DAY_MS });
const files = { authority: join(folder, 'ca.pem'), other: join(folder, 'other.pem') };
let store: TestDatabase;
let proxy: TlsDatabaseProxy;
let port: number;

beforeAll(async () => {
  writeFileSync(files.authority, authority.cert);
  writeFileSync(files.other, other.cert);
  store = await createTestDatabase();
  proxy = new TlsDatabaseProxy(store.url, good);
  port = await proxy.open();
});
afterAll(async () => {
  await endEveryPostern();
  await proxy.close();
  await store.drop();
  rmSync(folder, { recursive: true });
});

function urlOf(query: string, host = '127.0.0.1'): string {
  const { username, pathname } = new URL(store.url);
  return `postgres://${username}@${host}:${port}${pathname}?${query}`;
}

/** How a connection went: encrypted, plain, or the fault. */
async function outcomeOf(query: string, issued: Issued | null, host?: string): Promise<string> {
  proxy.issued = issued;
  proxy.began.splice(0);
  try {
    const [server] = serversOf({ url: urlOf(query, host) });
    const client = await connectClient(server, { limitMs: 5_000 });
    await client.end();
    return proxy.began.at(-1) ?? 'nowhere';
  } catch (error) {
    // Nothing was sent to a server that is not accepted.
    expect(proxy.began).toEqual([]);
    return (error as Error).message;
  }
}

describe('D23 what sslmode demands of the server', () => {
  test.each<[string, string, Issued | null, string | RegExp]>([
    ['disable, and TLS there', 'sslmode=disable', good, 'plain'],
    ['allow, and TLS there', 'sslmode=allow', good, 'plain'],
    ['nothing said, and TLS there', '', good, 'encrypted'],
    ['nothing said, and no TLS there', '', null, 'plain'],
    ['prefer, and an expired certificate', 'sslmode=prefer', expired, 'encrypted'],
    ['prefer, and a certificate of others', `sslmode=prefer&sslrootcert=${files.other}`, good, 'plain'],
    ['require, and an expired certificate', 'sslmode=require', expired, 'encrypted'],
    ['require, and no TLS there', 'sslmode=require', null, /does not support SSL/],
    ['require with an authority', `sslmode=require&sslrootcert=${files.authority}`, good, 'encrypted'],
    [
      'require with another authority',
      `sslmode=require&sslrootcert=${files.other}`,
      good,
      /127\.0\.0\.1:\d+ \(of test, issued by the authority, valid until \d{4}-\d\d-\d\d\) is not signed by an authority in sslrootcert/,
    ],
    ['verify-ca, of the authority', `sslmode=verify-ca&sslrootcert=${files.authority}`, good, 'encrypted'],
    [
      'verify-ca, expired',
      `sslmode=verify-ca&sslrootcert=${files.authority}`,
      expired,
      /\(of test, issued by the authority, .*\) expired on \d{4}-\d\d-\d\d$/,
    ],
    [
      'verify-full, of the authority',
      `sslmode=verify-full&sslrootcert=${files.authority}`,
      good,
      'encrypted',
    ],
    [
      'verify-full, no TLS there',
      `sslmode=verify-full&sslrootcert=${files.authority}`,
      null,
      /does not support SSL/,
    ],
    ['verify-full with the usual authorities', 'sslmode=verify-full', good, /authority that Node\.js trusts/],
    ['the usual authorities', 'sslrootcert=system', good, /authority that Node\.js trusts/],
  ])('%s', async (_what, query, issued, expected) => {
    const outcome = await outcomeOf(query, issued);
    if (typeof expected === 'string') expect(outcome).toBe(expected);
    else expect(outcome).toMatch(expected);
  });

  test('a certificate for another host is taken by verify-ca and not by verify-full', async () => {
    const verifyCa = `sslmode=verify-ca&sslrootcert=${files.authority}`;
    expect(await outcomeOf(verifyCa, good, 'localhost')).toBe('encrypted');
    expect(await outcomeOf(verifyCa.replace('ca', 'full'), good, 'localhost')).toMatch(
      /is not for localhost; it is for DNS:db\.example/,
    );
  });

  test.each([
    [
      'a byte order mark and line ends of Windows',
      (text: string) => `\ufeff${text.replaceAll('\n', '\r\n')}`,
    ],
    ['UTF-16, as PowerShell writes it', (text: string) => Buffer.from(`\ufeff${text}`, 'utf16le')],
  ])('a file of authorities with %s', async (_what, saved) => {
    const path = join(folder, 'windows.pem');
    writeFileSync(path, saved(authority.cert));
    expect(await outcomeOf(`sslmode=verify-full&sslrootcert=${path}`, good)).toBe('encrypted');
    expect(await outcomeOf(`sslmode=verify-full&sslrootcert=${path}`, expired)).toMatch(/expired on/);
  });

  test.each<[string, (socket: Socket) => void, RegExp, DatabaseFault['kind']]>([
    ['more than its answer', (socket) => socket.write('Sinjected'), /not answer the request for TLS/, 'tls'],
    ['more than its refusal', (socket) => socket.write('NR'), /not answer the request for TLS/, 'tls'],
    [
      'its answer, and plaintext instead of the handshake',
      (socket) => {
        socket.write('S');
        socket.once('data', () => socket.write('R\0\0\0\x08\0\0\0\0'));
      },
      /handshake with 127\.0\.0\.1:\d+ failed: (wrong version number|packet length too long)$/,
      'tls',
    ],
    [
      'an error, as a server without resources',
      (socket) => socket.write('E\0\0\0\x15SFATAL\0C53300\0\0hunter2'),
      /^Connection terminated: the server answered the request for TLS with an error$/,
      'unreachable',
    ],
    [
      'its answer, and leaves, as a server that restarts',
      (socket) => {
        socket.write('S');
        socket.once('data', () => socket.destroy());
      },
      /handshake with 127\.0\.0\.1:\d+ failed: /,
      'unreachable',
    ],
    [
      'its answer, and nothing more',
      (socket) => {
        socket.write('S');
        socket.resume();
      },
      /handshake with 127\.0\.0\.1:\d+ failed: timeout expired$/,
      'unreachable',
    ],
    ['nothing', () => undefined, /^timeout expired$/, 'unreachable'],
  ])('a server that sends %s before TLS is not used', async (_what, answer, message, kind) => {
    const received: string[] = [];
    const closed: Promise<unknown>[] = [];
    const attacker = createServer((socket) => {
      socket.on('error', () => undefined).on('data', (data) => received.push(data.toString('latin1')));
      socket.once('data', () => answer(socket));
      closed.push(new Promise((resolve) => socket.once('close', resolve)));
    });
    await new Promise<void>((resolve) => attacker.listen(0, '127.0.0.1', resolve));
    attacker.unref();
    const { port: theirs } = attacker.address() as { port: number };
    const url = `postgres://nobody:hunter2@127.0.0.1:${theirs}/none?sslmode=require`;
    const error: unknown = await connectClient(serversOf({ url })[0], { limitMs: 300 }).catch(
      (fault: unknown) => fault,
    );
    expect((error as Error).message).toMatch(message);
    expect(databaseFaultsOf(error)).toEqual([expect.objectContaining({ kind })]);
    // Neither name nor password, and no socket stays open.
    await Promise.all(closed);
    expect(received.join('')).not.toMatch(/nobody|hunter2/);
    attacker.close();
  });
});

test('D23 D03 the certificate of the database expires under a running service', async () => {
  proxy.issued = good;
  const service = await startTestService(
    { DATABASE_URL: urlOf(`sslmode=verify-full&sslrootcert=${files.authority}`) },
    store,
  );
  await service.addUser('ann@example.com', 'correct horse battery');
  const credentials = { email: 'ann@example.com', password: 'correct horse battery' };
  const login = () => service.call('postern.v1.AuthService/Login', credentials);
  const readiness = async () => {
    const answer = await fetch(`${service.httpUrl}/readyz`);
    return { status: answer.status, text: await answer.text() };
  };
  expect((await login()).code).toBe(status.OK);

  proxy.issued = expired;
  proxy.disconnect();
  await until(async () => (await readiness()).status === 503, 'the service is not ready');
  const refused = await login();
  expect([refused.code, refused.reason]).toEqual([status.UNAVAILABLE, 'STORE_UNAVAILABLE']);
  const sentence = /certificate of the database server 127\.0\.0\.1:\d+ \(of test, .*\) expired on /;
  await until(async () => sentence.test((await readiness()).text), '/readyz names the reason');
  const lines = service.logLines.map((line) => JSON.parse(line) as { event: string; detail?: string });
  expect(
    lines.filter(({ event, detail }) => event === 'store-unreachable' && sentence.test(detail ?? '')),
  ).toHaveLength(1);

  proxy.issued = good;
  await until(async () => (await login()).code === status.OK, 'logins work again');
  await service.stop();
});

describe('a command at a database whose certificate has expired', () => {
  const environment = () => ({
    DATABASE_URL: urlOf(`sslmode=verify-full&sslrootcert=${files.authority}`),
    POSTERN_MASTER_KEY: masterKey,
    POSTERN_GRPC_LISTEN: '127.0.0.1:0',
    POSTERN_HTTP_LISTEN: '127.0.0.1:0',
  });

  test.each([['serve'], ['doctor'], ['user', 'list']])('postern %s %s', async (...words) => {
    proxy.issued = expired;
    const { exitCode, stdout, stderr } = await runPostern(words, { environment: environment() });
    expect(exitCode).toBe(4);
    expect(stdout + stderr).toMatch(/certificate of the database server .* expired on .*\n.*Renew/);
    expect(stdout + stderr).not.toMatch(/unexpected|reading|undefined/);
  });

  test('a file of authorities that is not there is a fault of the settings', async () => {
    const { exitCode, stderr } = await runPostern(['serve'], {
      environment: { ...environment(), DATABASE_URL: urlOf('sslmode=require&sslrootcert=/nowhere/ca.pem') },
    });
    expect(exitCode).toBe(3);
    expect(stderr).toMatch(/DATABASE_URL has sslrootcert with a file that cannot be read \(ENOENT\)/);
    expect(stderr).not.toContain('/nowhere');
  });
});
