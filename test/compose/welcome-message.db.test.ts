import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { consoleUrl as consoleUrlOf } from '../../src/compose/console-url.ts';
import { parseListenAddress } from '../../src/net/listen-address.ts';
import { welcomeMessage } from '../../src/compose/welcome-message.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';

const demo = { email: 'demo@example.com', password: 'a-password', isAdmin: false };
const consoleUrl = 'http://localhost:8080/console/';
const linesFor = (path: string) =>
  welcomeMessage(demo, {
    consoleUrl: null,
    grpc: { kind: 'unix', path },
    http: null,
    tls: { requiresClientCertificate: true },
  })
    .split('\n')
    .map((line) => line.trim());
const login = `-d '{"email":"demo@example.com","password":"a-password"}'`;

test('the welcome message for a port', () => {
  const text = welcomeMessage(demo, {
    consoleUrl: null,
    grpc: { kind: 'tcp', host: '::1', port: 50051 },
    http: { kind: 'tcp', host: '::1', port: 8080 },
    tls: null,
  });
  const curl = `curl -s -H 'content-type: application/json' ${login} http://[::1]:8080/postern.v1.AuthService/Login`;
  expect(text.split('\n').slice(3, 5)).toEqual(['  Log in:', `    ${curl}`]);
  expect(text).toContain(
    `buf curl --protocol grpc --http2-prior-knowledge ${login} http://[::1]:50051/postern.v1.AuthService/Login\n`,
  );
  expect(text).toContain(`grpcurl -plaintext ${login} [::1]:50051 postern.v1.AuthService/Login\n`);
});

test('C72 the welcome message begins with the console, and says whose user is an administrator', () => {
  const listeners = {
    consoleUrl,
    grpc: { kind: 'unix', path: '/run/grpc.sock' },
    http: null,
    tls: null,
  } as const;
  const shown = (isAdmin: boolean) =>
    welcomeMessage({ ...demo, isAdmin }, listeners)
      .split('\n')
      .slice(1, 6)
      .map((line) => line.trim());
  expect(shown(true)).toEqual([
    `Open the console in a browser:  ${consoleUrl}`,
    '',
    'A demo user was created, an administrator. Its password is shown only now:  demo@example.com  a-password',
    '',
    'Log in:',
  ]);
  expect(shown(false).slice(2)).toEqual([
    'A demo user was created. Its password is shown only now:  demo@example.com  a-password',
    'It is no administrator, because Postern listens beyond this machine. To make one:',
    'npx postern user create --email ann@example.com --role admin',
  ]);
});

test.each<[string, boolean, string | null]>([
  ['127.0.0.1:8080', false, 'http://localhost:8080/console/'],
  ['[::1]:8080', false, 'http://localhost:8080/console/'],
  ['0.0.0.0:8080', false, 'http://localhost:8080/console/'],
  ['LocalHost:80', true, 'https://localhost:80/console/'],
  ['127.0.0.2:8080', false, 'http://127.0.0.2:8080/console/'],
  ['auth.example.com:8443', true, 'https://auth.example.com:8443/console/'],
  ['[2001:db8::1]:8443', true, 'https://[2001:db8::1]:8443/console/'],
  // Browsers keep no session there.
  ['192.0.2.1:8080', false, null],
  ['unix:/run/http.sock', true, null],
])('C72 the URL of the console on %s', (address, isSecured, url) => {
  const listener = parseListenAddress(address);
  expect(listener && consoleUrlOf(listener, { isSecured })).toBe(url);
});

test('N09 the welcome message for a port with TLS names the certificate for each tool', () => {
  const text = welcomeMessage(demo, {
    consoleUrl: null,
    grpc: { kind: 'tcp', host: '127.0.0.1', port: 50051 },
    http: { kind: 'tcp', host: '127.0.0.1', port: 8080 },
    tls: { requiresClientCertificate: true },
  });
  expect(text).toContain(
    `curl -s --cacert ca.crt -H 'content-type: application/json' ${login} https://127.0.0.1:8080/`,
  );
  expect(text).toContain(
    `buf curl --protocol grpc --cacert ca.crt --cert client.crt --key client.key ${login} https://127.0.0.1:50051/`,
  );
  expect(text).toContain(
    `grpcurl -cacert ca.crt -cert client.crt -key client.key ${login} 127.0.0.1:50051 postern.v1.AuthService/Login\n`,
  );
});

test('the welcome message for a socket names it in the syntax of each tool', () => {
  const lines = linesFor('/run/postern/grpc.sock');
  const buf = 'npx buf curl --protocol grpc --http2-prior-knowledge --unix-socket /run/postern/grpc.sock';
  expect(lines).toContain(`${buf} ${login} http://localhost/postern.v1.AuthService/Login`);
  expect(lines).toContain(
    `${buf} -H "authorization: Bearer $TOKEN" -d '{}' http://localhost/postern.v1.AuthService/VerifyToken`,
  );
  expect(lines).toContain(
    `grpcurl -plaintext ${login} unix:/run/postern/grpc.sock postern.v1.AuthService/Login`,
  );
});

test('a path with special characters is quoted as one shell word', () => {
  const path = "/tmp/it's $HOME/a b";
  const line = linesFor(path).find((text) => text.startsWith('npx buf curl')) ?? '';
  const word = /--unix-socket (.*) -d /.exec(line)?.[1] ?? '';
  expect(execFileSync('sh', ['-c', `printf %s ${word}`], { encoding: 'utf8' })).toBe(path);
});

test('the commands in the welcome message for a socket work when they are pasted', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-steps-'));
  const service = startPostern(['serve'], {
    environment: {
      POSTERN_DATA_DIR: join(folder, 'data'),
      POSTERN_GRPC_LISTEN: `unix:${folder}/grpc.sock`,
      POSTERN_HTTP_LISTEN: '127.0.0.1:0',
    },
  });
  try {
    await service.listening;
    const pasted = service.output.stderr
      .split('\n')
      .filter((line) => /^ {4}(TOKEN=|(npx buf )?curl.*VerifyToken)/.test(line));
    expect(pasted).toHaveLength(3);
    // Each verification by itself: their answers follow one another.
    const [token = '', ...verifications] = pasted;
    for (const verification of verifications) {
      const output = execFileSync('sh', ['-c', `${token}\n${verification}`], { encoding: 'utf8' });
      expect(JSON.parse(output)).toMatchObject({ issuer: 'http://127.0.0.1:8080', audience: ['postern'] });
    }
    // C72: the console is there, and the demo user may use it.
    const [, url = ''] = /browser: {2}(\S+)/.exec(service.output.stderr) ?? [];
    expect(url).toMatch(/^http:\/\/localhost:\d+\/console\/$/);
    expect(await (await fetch(url)).text()).toContain('<title>Postern</title>');
    const list = `${token}\ncurl -s -H 'content-type: application/json' -H "authorization: Bearer $TOKEN" -d '{}' ${new URL('/postern.v1.AdminService/ListUsers', url).href}`;
    const output = execFileSync('sh', ['-c', list], { encoding: 'utf8' });
    expect(JSON.parse(output)).toMatchObject({ users: [{ email: 'demo@example.com', roles: ['admin'] }] });
    expect(service.output.stderr).toContain('jwks_uri of the discovery document leads nowhere');
  } finally {
    await endEveryPostern();
    rmSync(folder, { recursive: true });
  }
});

test('C73 beyond this machine the demo user is no administrator, and does not become one by a later start', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-demo-'));
  const environment = { POSTERN_DATA_DIR: join(folder, 'data'), POSTERN_HTTP_LISTEN: '127.0.0.1:0' };
  const start = (grpcListen: string) =>
    startPostern(['serve'], {
      environment: { ...environment, POSTERN_GRPC_LISTEN: grpcListen, POSTERN_INSECURE: 'on' },
    });
  const rolesOfUsers = async () => {
    const { stdout } = await startPostern(['user', 'list', '--json'], { environment }).end;
    return (JSON.parse(stdout) as { roles: string[] }[]).map(({ roles }) => roles);
  };
  try {
    const first = start('0.0.0.0:0');
    await first.listening;
    expect(first.output.stderr).toMatch(/A demo user was created\. .*\n +It is no administrator/);
    expect(await rolesOfUsers()).toEqual([[]]);
    first.kill('SIGTERM');
    await first.end;
    // Where the demo user was deleted and others exist, none is made again.
    const run = (...user: string[]) =>
      startPostern(['user', ...user], { environment, stdin: 'correct horse battery' }).end;
    await run('create', '--email', 'ann@example.com', '--password-stdin');
    await run('delete', '--email', 'demo@example.com');
    const second = start('127.0.0.1:0');
    await second.listening;
    expect(second.output.stderr).not.toContain('demo user');
    // C72: a later start says as well where the console is, to the person and in the log.
    const [, url = ''] = /^ {2}Open the console in a browser: {2}(http:\/\/localhost:\d+\/console\/)$/m.exec(
      second.output.stderr,
    ) ?? [''];
    expect(second.output.stderr).toMatch(new RegExp(`"url":"${url}".*"console"|"console".*"url"`));
    expect(url).not.toBe('');
    expect(await rolesOfUsers()).toEqual([[]]);
  } finally {
    await endEveryPostern();
    rmSync(folder, { recursive: true });
  }
});
