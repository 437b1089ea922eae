import { randomBytes } from 'node:crypto';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { endEveryPostern, type Listening, runPostern, startPostern } from '../support/run-postern.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { invoke } from '../support/test-service.ts';
import { type RunningEnvoy, startEnvoy } from './running-envoy.ts';
import { describeWith, toolPath } from './tool.ts';
import { until } from './until.ts';

const upstreamFile = fileURLToPath(new URL('../../deploy/envoy/upstream.mjs', import.meta.url));
const password = 'correct horse battery';

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly reason: string | undefined;
  /** The headers that reached the upstream, as `name: value`; null when the request did not reach it. */
  readonly upstream: readonly string[] | null;
}

/** One HTTP/1.1 request with exactly these header lines: `fetch` would merge and rename them. */
function send(
  url: string,
  headers: readonly (readonly [string, string])[] = [],
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, {
      method,
      agent: false,
      headers: ['host', 'service.example', ...headers.flat()],
    });
    request.on('error', reject);
    request.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => {
        const json = /^\s*\{/.test(body)
          ? (JSON.parse(body) as { reason?: string; headers?: [string, string][] })
          : {};
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          reason: json.reason,
          upstream: json.headers?.map(([name, value]) => `${name.toLowerCase()}: ${value}`) ?? null,
        });
      });
    });
    request.end();
  });
}

const bearer = (token: string) => ['Authorization', `Bearer ${token}`] as const;
const spoofed = [
  ['X-Postern-Subject', 'root'],
  ['x-postern-subject', 'root'],
  ['X-POSTERN-ROLES', 'admin'],
  ['X-Postern-Session', '1'],
  ['X-Postern-External-Id', 'root'],
  ['x-postern-subject-name', 'root'],
  ['X-Postern-Actor', 'root'],
  ['X-Postern-Acr', 'aal2'],
  ['x-postern-auth-time', '1'],
  ['X_Postern_Subject', 'root'],
  ['x-postern-anything', 'root'],
] as const;
const identityIn = ({ upstream }: Answer) =>
  upstream?.filter((line) => /^x[-_]postern/.test(line)).sort() ?? null;

describeWith('envoy', 'behind a real Envoy', () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-envoy-'));
  let database: TestDatabase;
  let environment: Record<string, string>;
  let listening: Listening;
  let stopPostern: () => Promise<unknown>;
  let upstream: ChildProcess;
  let envoy: RunningEnvoy;
  let userId: string;
  let ports: Record<number, number>;

  beforeAll(async () => {
    database = await createTestDatabase();
    environment = {
      DATABASE_URL: database.url,
      POSTERN_MASTER_KEY: randomBytes(32).toString('base64'),
      POSTERN_AUDIENCE: 'postern,billing',
      POSTERN_JWKS_MAX_AGE: '2s',
      POSTERN_GRPC_LISTEN: '127.0.0.1:0',
      POSTERN_HTTP_LISTEN: '127.0.0.1:0',
    };
    await serve();
    userId = await addUser('ann@example.com', 'editor', 'reader');
    await addUser('boss@example.com', 'admin');
    upstream = spawn(process.execPath, [upstreamFile, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = (await once(upstream.stdout ?? upstream, 'data')) as [Buffer];
    const { port } = JSON.parse(line.toString()) as { port: number };
    ports = { 50051: portOf(listening.grpc), 8080: portOf(listening.http), 8000: port };
    envoy = await startEnvoy(toolPath('envoy'), 'envoy.yaml', folder, ports, withFastJwks);
  });

  afterAll(async () => {
    await envoy.stop();
    upstream.kill();
    await endEveryPostern();
    await database.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  const portOf = (address: string) => Number(address.split(':').at(-1));
  /** The issuer of the example, which is also the one in the tokens. */
  const withFastJwks = (json: string) => json.replace('"cache_duration":"300s"', '"cache_duration":"1s"');

  async function serve(): Promise<void> {
    const postern = startPostern(['serve'], { environment });
    listening = await postern.listening;
    stopPostern = () => {
      postern.kill('SIGTERM');
      return postern.end;
    };
  }

  async function addUser(email: string, ...roles: string[]): Promise<string> {
    const words = ['user', 'create', '--email', email, '--password-stdin', '--json'];
    const { stdout, stderr } = await runPostern([...words, ...roles.flatMap((role) => ['--role', role])], {
      environment,
      stdin: password,
    });
    if (stdout === '') throw new Error(stderr);
    return (JSON.parse(stdout) as { id: string }).id;
  }

  async function login(email: string, audience = '', address = listening.grpc): Promise<string> {
    const client = new grpc.Client(address, grpc.credentials.createInsecure());
    const outcome = await invoke(client, 'postern.v1.AuthService/Login', { email, password, audience });
    client.close();
    if (!outcome.response) throw new Error(outcome.message);
    return String(outcome.response['access_token']);
  }

  const get = (path: string, ...headers: (readonly [string, string])[]) => send(envoy.url + path, headers);

  test('a valid token passes, with identity headers, its path and its own headers', async () => {
    const token = await login('ann@example.com');
    const answer = await get('/orders?a=b', bearer(token), ['x-own', '1']);
    expect(answer.status).toBe(200);
    expect(identityIn(answer)).toEqual([
      'x-postern-acr: aal1',
      expect.stringMatching(/^x-postern-auth-time: \d{10}$/),
      'x-postern-roles: editor,reader',
      expect.stringMatching(/^x-postern-session: [0-9a-f-]{36}$/),
      `x-postern-subject: ${userId}`,
    ]);
    expect(answer.upstream).toEqual(expect.arrayContaining([`authorization: Bearer ${token}`, 'x-own: 1']));
    await until(() => Promise.resolve(envoy.output().includes(`"subject":"${userId}"`)));
  });

  test('E03 a missing or malformed token, another scheme, or two tokens get 401 and do not reach the upstream', async () => {
    const token = await login('ann@example.com');
    const cases: [string, (readonly [string, string])[]][] = [
      ['CREDENTIALS_MISSING', []],
      ['CREDENTIALS_MISSING', [['authorization', `Basic ${token}`]]],
      ['TOKEN_MALFORMED', [bearer('junk')]],
      ['TOKEN_MALFORMED', [['authorization', `Bearer  ${token}`]]],
      ['TOKEN_SIGNATURE_INVALID', [bearer(`${token.slice(0, -4)}AAAA`)]],
      ['TOKEN_MALFORMED', [bearer(token), bearer(token)]],
      ['TOKEN_MALFORMED', [bearer('junk'), ['AUTHORIZATION', `Bearer ${token}`]]],
      ['TOKEN_MALFORMED', [['authorization', `Bearer ${token}, Bearer ${token}`]]],
    ];
    for (const [reason, headers] of cases) {
      const answer = await get('/orders', ...headers);
      expect([answer.status, answer.reason, answer.upstream]).toEqual([401, reason, null]);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="postern"/);
      expect(answer.headers['content-type']).toBe('application/json');
    }
  });

  test('a gRPC client gets UNAUTHENTICATED', async () => {
    const { status, headers } = await get('/a.Service/Method', ['content-type', 'application/grpc']);
    expect([status, headers['grpc-status']]).toEqual([200, '16']);
  });

  test('E02 a client’s own identity headers never reach the upstream', async () => {
    const token = await login('ann@example.com');
    expect(identityIn(await get('/orders', ...spoofed, bearer(token), ...spoofed))).toEqual([
      'x-postern-acr: aal1',
      expect.stringMatching(/^x-postern-auth-time: \d{10}$/),
      'x-postern-roles: editor,reader',
      expect.stringMatching(/^x-postern-session: [0-9a-f-]{36}$/),
      `x-postern-subject: ${userId}`,
    ]);
    expect(identityIn(await get('/optional', ...spoofed))).toEqual([]);
    // The filter that verifies there knows three names and no prefix.
    expect(identityIn(await get('/jwt', ...spoofed.slice(0, -1), bearer(token)))).toEqual([
      `x-postern-subject: ${userId}`,
    ]);
  });

  test('optional mode passes requests without a token, and sends the identity of a valid one', async () => {
    const anonymous = await get('/optional');
    expect([anonymous.status, identityIn(anonymous)]).toEqual([200, []]);
    const known = await get('/optional', bearer(await login('ann@example.com')));
    expect(identityIn(known)).toContain(`x-postern-subject: ${userId}`);
    expect((await get('/optional', bearer('junk'))).status).toBe(401);
  });

  test('a route with a role admits only callers that have it, and strips the token', async () => {
    const refused = await get('/admin', bearer(await login('ann@example.com')));
    expect([refused.status, refused.reason]).toEqual([403, 'ROLE_MISSING']);
    expect(refused.headers['www-authenticate']).toContain('error="insufficient_scope", scope="admin"');
    const passed = await get('/admin', bearer(await login('boss@example.com')));
    expect(passed.status).toBe(200);
    expect(passed.upstream?.filter((line) => line.startsWith('authorization'))).toEqual([]);
    expect((await get('/admin')).status).toBe(401);
  });

  test('a token for another audience is refused', async () => {
    const answer = await get('/orders', bearer(await login('ann@example.com', 'billing')));
    expect([answer.status, answer.reason]).toEqual([401, 'TOKEN_CLAIMS_INVALID']);
  });

  test('a token passes until it expires', async () => {
    const brief = startPostern(['serve'], {
      environment: { ...environment, POSTERN_ACCESS_TOKEN_TTL: '1s' },
    });
    const token = await login('ann@example.com', '', (await brief.listening).grpc);
    brief.kill('SIGTERM');
    expect((await get('/orders', bearer(token))).status).toBe(200);
    const last = await until(async () => {
      const answer = await get('/orders', bearer(token));
      // 503: on a busy machine Check did not answer within Envoy's time limit.
      return ![200, 503].includes(answer.status) && answer;
    });
    expect([last.status, last.reason]).toEqual([401, 'TOKEN_EXPIRED']);
    await brief.end;
  });

  test('a token passes until it is revoked; jwt_authn does not see the revocation', async () => {
    const token = await login('ann@example.com');
    expect((await get('/orders', bearer(token))).status).toBe(200);
    const client = new grpc.Client(listening.grpc, grpc.credentials.createInsecure());
    await invoke(client, 'postern.v1.AuthService/RevokeToken', { token });
    client.close();
    const answer = await get('/orders', bearer(token));
    expect([answer.status, answer.reason]).toEqual([401, 'TOKEN_REVOKED']);
    expect((await get('/jwt', bearer(token))).status).toBe(200);
  });

  test('raw headers are read as well', async () => {
    const raw = await startEnvoy(toolPath('envoy'), 'envoy.yaml', folder, ports, (json) =>
      json.replace('"failure_mode_allow":false', '"failure_mode_allow":false,"encode_raw_headers":true'),
    );
    try {
      const token = await login('ann@example.com');
      const passed = await send(`${raw.url}/orders`, [...spoofed, bearer(token)]);
      expect(identityIn(passed)).toContain(`x-postern-subject: ${userId}`);
      expect(identityIn(passed)).toHaveLength(5);
      expect((await send(`${raw.url}/orders`, [bearer(token), bearer(token)])).status).toBe(401);
      expect((await send(`${raw.url}/orders`)).status).toBe(401);
      expect((await send(`${raw.url}/orders`, [['authorization', 'Bearer \u00ff\u00fe']])).status).toBe(401);
    } finally {
      await raw.stop();
    }
  });

  describe('CORS', () => {
    const origin = ['origin', 'https://app.example.com'] as const;
    const shared = { 'access-control-allow-origin': origin[1] };

    test('E06 the preflight of a listed origin passes without a token, that of another is refused', async () => {
      const asks = [['access-control-request-method', 'POST']] as const;
      const passed = await send(`${envoy.url}/orders`, [origin, ...asks], 'OPTIONS');
      expect(passed).toMatchObject({ status: 200, upstream: null, headers: shared });
      expect(passed.headers['access-control-allow-headers']).toBe('authorization, content-type');
      expect(passed.headers).not.toHaveProperty('access-control-allow-credentials');
      const other = await send(
        `${envoy.url}/orders`,
        [['origin', 'https://evil.example'], ...asks],
        'OPTIONS',
      );
      expect([other.status, other.headers['access-control-allow-origin']]).toEqual([401, undefined]);
    });

    test('E06 a script of a listed origin can read a refusal, and the response of the service', async () => {
      for (const path of ['/orders', '/jwt']) {
        const refused = await get(path, origin);
        expect(refused).toMatchObject({ status: 401, headers: shared });
        expect(refused.headers['access-control-expose-headers']).toBe('www-authenticate, retry-after');
      }
      const passed = await get('/orders', origin, bearer(await login('ann@example.com')));
      expect(passed).toMatchObject({ status: 200, headers: shared });
      const other = await get('/orders', ['origin', 'https://evil.example']);
      expect(other.headers).not.toHaveProperty('access-control-allow-origin');
    });
  });

  describe('jwt_authn with the published keys', () => {
    test('accepts a valid token and refuses others', async () => {
      const answer = await get('/jwt', bearer(await login('ann@example.com')));
      expect([answer.status, identityIn(answer)]).toEqual([200, [`x-postern-subject: ${userId}`]]);
      expect((await get('/jwt')).status).toBe(401);
      expect((await get('/jwt', bearer(await login('ann@example.com', 'billing')))).status).toBe(403);
    });

    test('K02 a key rotation causes no refusals: tokens issued before, during and after it pass', async () => {
      const old = await login('ann@example.com');
      const end = await runPostern(['key', 'rotate', '--json'], { environment });
      const { kid } = JSON.parse(end.stdout) as { kid: string };
      await until(async () => {
        const token = await login('ann@example.com');
        for (const good of [old, token]) {
          expect([(await get('/jwt', bearer(good))).status, (await get('/', bearer(good))).status]).toEqual([
            200, 200,
          ]);
        }
        return kidOf(token) === kid;
      });
    });

    test('K09 tokens of a key that was revoked in an emergency are refused, and those of its successor pass', async () => {
      const token = await login('ann@example.com');
      expect((await get('/jwt', bearer(token))).status).toBe(200);
      const revoked = await runPostern(['key', 'revoke', kidOf(token), '--json'], { environment });
      expect([revoked.exitCode, revoked.stderr]).toEqual([0, '']);
      await until(async () => (await get('/jwt', bearer(token))).status === 401);
      const answer = await get('/orders', bearer(token));
      expect([answer.status, answer.reason]).toEqual([401, 'TOKEN_KEY_UNKNOWN']);
      const next = await until(async () => {
        const issued = await login('ann@example.com');
        return kidOf(issued) !== kidOf(token) && (await get('/jwt', bearer(issued))).status === 200 && issued;
      });
      expect((await get('/orders', bearer(next))).status).toBe(200);
      // Envoy fetches the set again and again: the key does not come back.
      expect((await get('/jwt', bearer(token))).status).toBe(401);
    });
  });

  test('E01 while Postern is down every route that is checked answers 503, and service resumes by itself', async () => {
    const token = await login('ann@example.com');
    await stopPostern();
    for (const headers of [[], [bearer(token)]]) {
      for (const path of ['/orders', '/optional', '/admin']) {
        const answer = await get(path, ...headers);
        expect([path, answer.status, answer.upstream]).toEqual([path, 503, null]);
      }
    }
    const { grpc: grpcAddress, http } = listening;
    environment = { ...environment, POSTERN_GRPC_LISTEN: grpcAddress, POSTERN_HTTP_LISTEN: http };
    await serve();
    await until(async () => (await get('/orders', bearer(token))).status === 200);
  });
});

function kidOf(token: string): string {
  const [header = ''] = token.split('.');
  return (JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }).kid;
}
