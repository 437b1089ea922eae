import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';

import {
  createVerifier,
  PosternError,
  type ServiceCredential,
  type Workload,
  workloadCredential,
} from '../../src/client/postern-client.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { callerPassword } from '../support/callers.ts';
import { makeIssuerKey, mint, shapes } from '../support/outside-issuer.ts';
import { anyPorts } from '../support/service-environment.ts';
import { startPostern } from '../support/run-postern.ts';
import { invoke, type Message, startTestService, type TestService } from '../support/test-service.ts';
import { until } from '../support/wait-for.ts';

const OWN = 'https://postern.example';
const CLUSTER = 'https://kubernetes.default.svc.cluster.local';
const key = makeIssuerKey('k1');
const folder = mkdtempSync(`${tmpdir()}/postern-`);
const tokenFile = join(folder, 'token');
let service: TestService;
let billing: string;
const credentials: ServiceCredential[] = [];

beforeAll(async () => {
  service = await startTestService({ POSTERN_ISSUER: OWN });
  await service.addUser('admin@example.com', callerPassword, ['admin']);
  const authorization = `Bearer ${await service.tokenOf('admin@example.com', callerPassword)}`;
  const manage = async (method: string, request: Message) => {
    const { response, message } = await service.call(`postern.v1.AdminService/${method}`, request, {
      authorization,
    });
    if (!response) throw new Error(`${method}: ${message}`);
    return response;
  };
  const fixture = await openAdminFixture(service.database);
  billing = (await fixture.createService('billing', ['reader', 'writer'])).id;
  const reports = (await fixture.createService('reports', [])).id;
  const issuer = await manage('CreateTrustedIssuer', {
    issuer: CLUSTER,
    kind: 'KUBERNETES',
    keys: { static_jwks: JSON.stringify({ keys: [key.jwk] }) },
  });
  const bind = (client_id: string, sub: string) =>
    manage('CreateWorkloadBinding', { issuer_id: issuer['id'], client_id, claims: { sub } });
  await bind(billing, 'system:serviceaccount:shop:billing');
  await bind(billing, 'system:serviceaccount:shop:both');
  await bind(reports, 'system:serviceaccount:shop:both');
});
afterEach(() => {
  for (const credential of credentials.splice(0)) credential.close();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await service.stop();
});

const projected = (claims: object = {}) => mint(key, { ...shapes.kubernetes(CLUSTER, OWN), ...claims });
function credentialOf(workload: Partial<Workload> = {}): ServiceCredential {
  const credential = workloadCredential({ address: service.grpcAddress }, { tokenFile, ...workload });
  credentials.push(credential);
  return credential;
}
const claimsOf = async (token: string) =>
  (await service.call('postern.v1.AuthService/VerifyToken', { access_token: token })).response;
async function failureOf(credential: ServiceCredential): Promise<PosternError> {
  const error = await credential.accessToken().catch((reason: unknown) => reason);
  if (error instanceof PosternError) return error;
  throw new Error(`no failure: ${String(error)}`);
}

describe('W30 a workload needs no secret', () => {
  test('its token in a file becomes a token of the bound account', async () => {
    writeFileSync(tokenFile, `${projected()}\n`);
    const claims = await claimsOf(await credentialOf().accessToken());
    expect(claims).toMatchObject({ subject: billing, subject_name: 'billing', roles: ['reader', 'writer'] });
    const narrow = await claimsOf(await credentialOf({ roles: ['reader'] }).accessToken());
    expect(narrow).toMatchObject({ roles: ['reader'] });
  });

  test('the account is named when several are bound', async () => {
    writeFileSync(tokenFile, projected({ sub: 'system:serviceaccount:shop:both' }));
    expect((await failureOf(credentialOf())).reason).toBe('FIELD_INVALID');
    const claims = await claimsOf(await credentialOf({ serviceAccount: 'billing' }).accessToken());
    expect(claims).toMatchObject({ subject: billing });
  });

  test('the file is read at each renewal', async () => {
    writeFileSync(tokenFile, projected({ exp: 1_000 }));
    const credential = credentialOf();
    expect((await failureOf(credential)).reason).toBe('TOKEN_EXPIRED');
    writeFileSync(tokenFile, projected());
    const first = await credential.accessToken();
    expect(await credential.accessToken()).toBe(first);
  });

  test('a verifier watches with it, and does not close it', async () => {
    writeFileSync(tokenFile, projected());
    const credential = credentialOf();
    const verifier = createVerifier({ trust: { upstream: { address: service.grpcAddress }, credential } });
    await verifier.ready(10_000);
    const claims = await verifier.verify(await credential.accessToken());
    expect(claims.subjectName).toBe('billing');
    verifier.close();
    expect(await credential.accessToken()).not.toBe('');
  });
});

describe('W31 an unusable file', () => {
  test.each<[string, (path: string) => void, RegExp]>([
    ['is missing', () => undefined, /cannot be read \(ENOENT\)/],
    ['is empty', (path) => writeFileSync(path, ' \n'), /is empty/],
    [
      'is huge',
      (path) => writeFileSync(path, 'x'.repeat(1_000_000)),
      /is larger than 17408 bytes|is longer than a token, 16384 bytes/,
    ],
    ['is a little too long', (path) => writeFileSync(path, 'x'.repeat(16_385)), /is longer than a token/],
    ['has two tokens', (path) => writeFileSync(path, 'secret-one secret-two'), /exactly one token/],
    ['is not text', (path) => writeFileSync(path, Buffer.from([0x73, 0xc3, 0x28])), /does not hold text/],
    ['is a folder', (path) => mkdirSync(path), /is not a regular file|EISDIR/],
    ['is a pipe', (path) => void execFileSync('mkfifo', [path]), /is not a regular file/],
  ])('that %s is told, without what it holds', async (name, make, expected) => {
    const path = join(folder, name.replaceAll(' ', '-'));
    make(path);
    const { code, message } = await failureOf(credentialOf({ tokenFile: path }));
    expect(grpc.status[code]).toBe('UNAVAILABLE');
    expect(message).toMatch(expected);
    expect(message).toContain(path);
    expect(message).not.toMatch(/secret|xxx/);
  });

  test('no refusal of the service has the token', async () => {
    const token = mint(makeIssuerKey('other'), shapes.kubernetes(CLUSTER, OWN));
    writeFileSync(tokenFile, token);
    const error = await failureOf(credentialOf());
    expect(error.reason).toMatch(/^TOKEN_/);
    expect(`${error.message} ${error.stack}`).not.toContain(token.slice(-40));
  });

  test.each<[string, object, RegExp]>([
    ['no file', {}, /tokenFile/],
    ['a misspelt member', { tokenFile, serviceaccount: 'billing' }, /serviceaccount is not a known member/],
    ['no roles', { tokenFile, roles: [] }, /roles/],
  ])('options with %s are refused', (_name, workload, expected) => {
    expect(() => workloadCredential({ address: service.grpcAddress }, workload as Workload)).toThrow(
      expected,
    );
  });
});

describe('W32 Q34 a sidecar', () => {
  test('watches with POSTERN_TOKEN_FILE, and verifies API keys', async () => {
    writeFileSync(tokenFile, projected());
    await service.addUser('bob@example.com', callerPassword, ['reader']);
    const authorization = `Bearer ${await service.tokenOf('bob@example.com', callerPassword)}`;
    const newKey = async (name: string, allowed_networks: string[]) => {
      const { response } = await service.call(
        'postern.v1.AuthService/CreateApiKey',
        { name, roles: ['reader'], allowed_networks },
        { authorization },
      );
      return { secret: String(response?.['secret']), id: String((response?.['api_key'] as Message)['id']) };
    };
    const [plain, limited] = [await newKey('plain', []), await newKey('limited', ['192.0.2.0/24'])];
    const sidecar = startPostern(['sidecar', '--upstream', service.grpcAddress], {
      environment: { ...anyPorts, POSTERN_TOKEN_FILE: tokenFile },
    });
    const { grpc: address, http } = await sidecar.listening;
    await until(async () => (await fetch(`http://${http}/readyz`)).status === 200, 'the sidecar is ready');
    const client = new grpc.Client(address, grpc.credentials.createInsecure());
    const verify = async (access_token: string, client_address = '') => {
      const fields = { access_token, client_address };
      const { reason, response } = await invoke(client, 'postern.v1.AuthService/VerifyToken', fields);
      return reason ?? response?.['credential_kind'];
    };
    const check = async (secret: string, source: string) => {
      const { response } = await invoke(client, 'envoy.service.auth.v3.Authorization/Check', {
        attributes: {
          source: { address: { socket_address: { address: source, port_value: 4711 } } },
          request: { http: { headers: { authorization: `Bearer ${secret}` } } },
        },
      });
      return (response?.['status'] as Message)['code'];
    };
    expect(await verify(plain.secret)).toBe('API_KEY');
    expect(await verify(limited.secret)).toBe('API_KEY_INVALID');
    expect(await verify(limited.secret, '192.0.2.1')).toBe('API_KEY');
    expect(await verify(limited.secret, '198.51.100.1')).toBe('API_KEY_INVALID');
    expect(await verify(limited.secret, 'junk')).toBe('FIELD_INVALID');
    expect([await check(limited.secret, '192.0.2.1'), await check(limited.secret, '198.51.100.1')]).toEqual([
      grpc.status.OK,
      grpc.status.UNAUTHENTICATED,
    ]);
    await service.call('postern.v1.AuthService/RevokeApiKey', { id: plain.id }, { authorization });
    await until(async () => (await verify(plain.secret)) === 'API_KEY_INVALID', 'the key has ended');
    client.close();
    sidecar.kill('SIGTERM');
    await sidecar.end;
    expect(sidecar.output.stderr + sidecar.output.stdout).not.toContain(plain.secret);
  });

  test('says in its log what is wrong with the file', async () => {
    const path = join(folder, 'absent');
    const sidecar = startPostern(['sidecar', '--upstream', service.grpcAddress], {
      environment: { ...anyPorts, POSTERN_TOKEN_FILE: path },
    });
    await sidecar.listening;
    await until(() => sidecar.output.stderr.includes('upstream-lost'), 'the log says why not');
    expect(sidecar.output.stderr).toContain(`the token file ${path} cannot be read (ENOENT)`);
    sidecar.kill('SIGTERM');
    await sidecar.end;
  });
});
