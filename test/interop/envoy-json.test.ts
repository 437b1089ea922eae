import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { startTestService, type TestService } from '../support/test-service.ts';
import { type RunningEnvoy, startEnvoy } from './running-envoy.ts';
import { describeWith, toolPath } from './tool.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const origin = 'https://app.example.com';

describeWith('envoy', 'JSON through grpc_json_transcoder', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-envoy-json-'));
  let service: TestService;
  let envoy: RunningEnvoy;
  let userId: string;

  beforeAll(async () => {
    service = await startTestService({ POSTERN_HTTP_RPC: 'off', POSTERN_TRUSTED_PROXIES: '127.0.0.1/32' });
    userId = await service.addUser(email, password, ['editor']);
    const port = Number(service.grpcAddress.split(':').at(-1));
    envoy = await startEnvoy(toolPath('envoy'), 'json.yaml', folder, { 50051: port });
  });
  afterAll(async () => {
    await envoy.stop();
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function call(method: string, message: unknown, headers: Record<string, string> = {}) {
    const response = await fetch(`${envoy.url}/postern.v1.${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(message),
    });
    const text = await response.text();
    const body = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
    return { status: response.status, headers: response.headers, body };
  }

  test('logs in, verifies and revokes', async () => {
    const login = await call('AuthService/Login', { email, password });
    expect([login.status, login.headers.get('content-type')]).toEqual([200, 'application/json']);
    expect(login.body).toMatchObject({ tokenType: 'bearer', expiresIn: 600, userId });
    const authorization = `Bearer ${String(login.body['accessToken'])}`;
    const verified = await call('AuthService/VerifyToken', {}, { authorization });
    expect(verified).toMatchObject({ status: 200, body: { subject: userId, roles: ['editor'] } });
    const token = login.body['refreshToken'];
    expect((await call('AuthService/RevokeToken', { token })).status).toBe(200);
    expect((await call('AuthService/VerifyToken', {}, { authorization })).status).toBe(401);
  });

  test('E06 a refusal is JSON with its reason, and can be read by a script of a listed origin', async () => {
    const wrong = { email, password: 'wrong horse battery' };
    const refused = await call('AuthService/Login', wrong, { origin, 'x-request-id': 'request-1' });
    expect(refused).toMatchObject({
      status: 401,
      body: {
        code: 16,
        message: 'the credentials are wrong',
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
            reason: 'INVALID_CREDENTIALS',
            domain: 'postern',
          },
        ],
      },
    });
    expect(refused.headers.get('access-control-allow-origin')).toBe(origin);
    expect(refused.headers.get('x-request-id')).toBe('request-1');
    expect(service.logLines.some((line) => line.includes('"request-1"'))).toBe(true);
  });

  test('a preflight of a listed origin passes, another is refused', async () => {
    const preflight = async (from: string) => {
      const response = await fetch(`${envoy.url}/postern.v1.AuthService/Login`, {
        method: 'OPTIONS',
        headers: { origin: from, 'access-control-request-method': 'POST' },
      });
      await response.text();
      return [response.status, response.headers.get('access-control-allow-origin')];
    };
    expect(await preflight(origin)).toEqual([200, origin]);
    expect(await preflight('https://evil.example')).toEqual([404, null]);
  });

  test('E06 the address of the caller is the one that Envoy saw, not one that the caller chose', async () => {
    await call('AuthService/Login', { email, password }, { 'x-forwarded-for': '203.0.113.7' });
    const rows = await service.database.query(
      'SELECT DISTINCT host(client_address) AS address FROM sessions',
    );
    // For a caller on its own machine Envoy writes an address of that machine.
    expect(rows).toHaveLength(1);
    expect(rows).not.toContainEqual({ address: '203.0.113.7' });
  });

  test('E06 administration, other paths, queries and junk are not passed on', async () => {
    expect((await call('AdminService/ListUsers', {})).status).toBe(404);
    expect((await call('AuthService/Nothing', {})).status).toBe(404);
    expect((await call('AuthService/Login?email=x', {})).status).toBe(400);
    expect((await call('AuthService/Login', { email: ['x'] })).status).toBe(400);
    expect((await call('AuthService/Login', { email: 'x'.repeat(70_000) })).status).toBe(413);
    expect((await fetch(`${envoy.url}/postern.v1.AuthService/GetJwks`)).status).toBe(404);
  });
});
