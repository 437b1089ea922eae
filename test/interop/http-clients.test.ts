import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { startTestService, type TestService } from '../support/test-service.ts';

const buf = fileURLToPath(new URL('../../node_modules/.bin/buf', import.meta.url));
const protoDir = fileURLToPath(new URL('../../proto', import.meta.url));
const email = 'ann@example.com';
const password = 'correct horse battery';

let service: TestService;
beforeAll(async () => {
  service = await startTestService({ POSTERN_HTTP_RPC: 'auth' });
  await service.addUser(email, password, ['reader']);
});
afterAll(() => service.stop());

const run = (program: string, words: string[]) => promisify(execFile)(program, words);
const failureOf = (ended: Promise<unknown>) =>
  ended.then(
    () => Promise.reject(new Error('the call did not fail')),
    (error: unknown) => error as { code: number; stderr: string },
  );

/** Logs in and verifies the token, as the program does it. */
async function login(ask: (method: string, request: object, ...headers: string[]) => Promise<unknown>) {
  const { accessToken } = (await ask('Login', { email, password })) as { accessToken: string };
  expect(await ask('VerifyToken', {}, `authorization: Bearer ${accessToken}`)).toMatchObject({
    roles: ['reader'],
    subjectType: 'USER',
  });
}

describe('curl', () => {
  const curl = (method: string, request: object, ...headers: string[]) => {
    const sent = ['content-type: application/json', ...headers].flatMap((header) => ['-H', header]);
    const url = `${service.httpUrl}/postern.v1.AuthService/${method}`;
    return run('curl', ['-sS', '--fail-with-body', ...sent, '-d', JSON.stringify(request), url]);
  };

  test('H01 logs in and verifies the token', async () => {
    await login(async (...call) => JSON.parse((await curl(...call)).stdout) as unknown);
  });

  test('H01 fails with the HTTP status', async () => {
    const { code, stderr } = await failureOf(curl('Login', { email, password: 'a wrong password' }));
    expect(code).toBe(22);
    expect(stderr).toContain('401');
  });
});

describe.each(['connect', 'grpcweb'])('buf curl, protocol %s', (protocol) => {
  const bufCurl = (method: string, request: object, ...headers: string[]) => {
    const sent = headers.flatMap((header) => ['-H', header]);
    const options = ['--protocol', protocol, '--schema', protoDir, ...sent, '-d', JSON.stringify(request)];
    return run(buf, ['curl', ...options, `${service.httpUrl}/postern.v1.AuthService/${method}`]);
  };

  test('H01 logs in and verifies the token', async () => {
    await login(async (...call) => JSON.parse((await bufCurl(...call)).stdout) as unknown);
  });

  test('H01 reads the details of a refusal', async () => {
    const { stderr } = await failureOf(bufCurl('Login', { email, password: 'a wrong password' }));
    const { code, details } = JSON.parse(stderr) as { code: string; details: { value: string }[] };
    expect(code).toBe('unauthenticated');
    expect(Buffer.from(details[0]?.value ?? '', 'base64').toString()).toContain('INVALID_CREDENTIALS');
  });
});
