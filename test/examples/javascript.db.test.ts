import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startTestService, type TestService } from '../support/test-service.ts';

const client = fileURLToPath(new URL('../../examples/javascript/client.mjs', import.meta.url));
const password = 'correct horse battery';
const run = promisify(execFile);

let postern: TestService;
let userId: string;

beforeAll(async () => {
  postern = await startTestService();
  userId = await postern.addUser('ann@example.com', password, ['reader']);
});
afterAll(() => postern.stop());

async function clientOf(typed: string): Promise<string[]> {
  const promise = run(process.execPath, [client, 'ann@example.com', postern.grpcAddress]);
  promise.child.stdin?.end(typed);
  return (await promise).stdout.trimEnd().split('\n');
}

test('the client without generated code logs in, verifies its token, and is refused after logout', async () => {
  const [loggedIn, refused, ...more] = await clientOf(password);
  expect(loggedIn).toBe(`logged in as ${userId} with roles [ 'reader' ]`);
  expect(refused).toMatch(/^UNAUTHENTICATED /);
  expect(more).toEqual([]);
});

test('a password from a pipe of PowerShell is taken', async () => {
  const [loggedIn] = await clientOf(`\ufeff${password}\r\n`);
  expect(loggedIn).toMatch(/^logged in as /);
});

test('a wrong password ends with UNAUTHENTICATED and its message', async () => {
  expect(await clientOf('not the password')).toEqual(['UNAUTHENTICATED the credentials are wrong']);
});
