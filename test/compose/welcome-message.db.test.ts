import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';

import { welcomeMessage } from '../../src/compose/welcome-message.ts';
import { endEveryPostern, startPostern } from '../support/run-postern.ts';

const demo = { email: 'demo@example.com', password: 'a-password' };
const linesFor = (path: string) =>
  welcomeMessage(demo, {
    grpc: { kind: 'unix', path },
    http: null,
    tls: { requiresClientCertificate: true },
  })
    .split('\n')
    .map((line) => line.trim());
const login = `-d '{"email":"demo@example.com","password":"a-password"}'`;

test('the welcome message for a port', () => {
  const text = welcomeMessage(demo, {
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

test('N09 the welcome message for a port with TLS names the certificate for each tool', () => {
  const text = welcomeMessage(demo, {
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
    expect(service.output.stderr).toContain('jwks_uri of the discovery document leads nowhere');
  } finally {
    await endEveryPostern();
    rmSync(folder, { recursive: true });
  }
});
