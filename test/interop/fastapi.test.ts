import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startTestService, type TestService } from '../support/test-service.ts';
import { describeWith, toolPath } from './tool.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';

describeWith('fastapi-example', 'the example examples/fastapi', () => {
  let service: TestService;
  let application: ChildProcess;
  let url: string;
  let stopped = false;
  const ids: Record<string, string> = {};

  beforeAll(async () => {
    service = await startTestService({ POSTERN_HTTP_RPC: 'auth', POSTERN_TRUSTED_PROXIES: '127.0.0.1/32' });
    ids[email] = await service.addUser(email, password);
    ids['eve@example.com'] = await service.addUser('eve@example.com', password, ['editor']);
    // The header of a proxy in front is believed from this address, as the host of a person here.
    const words = ['--port', '0', '--forwarded-allow-ips', '127.0.0.1'];
    const child = spawn(toolPath('fastapi-example'), words, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, POSTERN_URL: service.httpUrl },
    });
    application = child;
    url = await new Promise((resolve, reject) => {
      let output = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const [, found] = /running on (http:\/\/127\.0\.0\.1:\d+)/.exec(output) ?? [];
        if (found !== undefined) resolve(found);
      });
      child.once('close', () => reject(new Error(output)));
    });
  });
  afterAll(async () => {
    const ended = once(application, 'exit');
    application.kill('SIGTERM');
    await ended;
    if (!stopped) await service.stop();
  });

  async function ask(path: string, init: RequestInit = {}) {
    const response = await fetch(url + path, init);
    const text = await response.text();
    const body = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    return { status: response.status, headers: response.headers, body };
  }
  const logIn = (username: string, typed = password, headers: Record<string, string> = {}) =>
    ask('/token', { method: 'POST', headers, body: new URLSearchParams({ username, password: typed }) });
  const bearer = (token: unknown) => ({ headers: { authorization: `Bearer ${String(token)}` } });

  test('logs in with the form, and knows the caller until the logout', async () => {
    const login = await logIn(email);
    expect(login).toMatchObject({ status: 200, body: { token_type: 'bearer', expires_in: 600 } });
    const token = bearer(login.body['access_token']);
    expect(await ask('/users/me', token)).toMatchObject({
      status: 200,
      body: { subject: ids[email], roles: [] },
    });
    expect((await ask('/logout', { method: 'POST', ...token })).status).toBe(204);
    const refused = await ask('/users/me', token);
    expect(refused).toMatchObject({ status: 401, body: { detail: { reason: 'TOKEN_REVOKED' } } });
    expect(refused.headers.get('www-authenticate')).toBe('Bearer');
  });

  test('a route that needs a role refuses who does not have it', async () => {
    const editor = await logIn('eve@example.com');
    expect(await ask('/articles/drafts', bearer(editor.body['access_token']))).toMatchObject({
      status: 200,
      body: { editor: ids['eve@example.com'] },
    });
    const other = await logIn(email);
    expect((await ask('/articles/drafts', bearer(other.body['access_token']))).status).toBe(403);
  });

  test('refusals have the status, the reason and the request id of Postern', async () => {
    const wrong = await logIn(email, 'wrong horse battery');
    expect(wrong).toMatchObject({
      status: 401,
      body: { detail: { reason: 'INVALID_CREDENTIALS', message: 'the credentials are wrong' } },
    });
    const requestId = wrong.headers.get('x-request-id') ?? 'none';
    expect(service.logLines.some((line) => line.includes(requestId))).toBe(true);
    expect(await ask('/users/me', bearer('junk'))).toMatchObject({
      status: 401,
      body: { detail: { reason: 'TOKEN_MALFORMED' } },
    });
    expect((await ask('/users/me')).status).toBe(401);
  });

  test('Postern counts attempts by the address of the person', async () => {
    await logIn(email, password, { 'x-forwarded-for': '203.0.113.9' });
    const rows = await service.database.query(
      'SELECT host(client_address) AS address FROM sessions ORDER BY created_at DESC LIMIT 1',
    );
    expect(rows).toEqual([{ address: '203.0.113.9' }]);
  });

  test('while Postern is away the answer is 503', async () => {
    stopped = true;
    await service.stop();
    expect(await logIn(email)).toMatchObject({ status: 503 });
  });
});
