import { afterEach, expect, test } from '@jest/globals';

import { startTestService, type TestService } from '../support/test-service.ts';
import { runTool } from './run-tool.ts';
import { describeWith } from './tool.ts';

const secret = 'b9b1a1e0d6c84f3b9c5a2f7e8d41c6035f7a9e2b1c8d4f60a3e5b7d9f1c2e4a6';
const issuer = 'http://127.0.0.1:8080';
const email = 'ann@example.com';
const password = 'correct horse battery';

interface Answer {
  readonly token?: string;
  readonly claims?: Record<string, unknown>;
  readonly refused?: string;
}

async function ask(request: object): Promise<Answer> {
  const { stdout, stderr } = await runTool('python-jose', [], JSON.stringify(request));
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Answer;
}

async function sign(claims: object, key = secret): Promise<string> {
  const { token } = await ask({ sign: claims, key });
  if (token === undefined) throw new Error('python-jose signed nothing');
  return token;
}

describeWith('python-jose', 'python-jose', () => {
  let service: TestService;
  afterEach(() => service.stop());

  const start = async (environment: Record<string, string> = {}) => {
    service = await startTestService(environment);
    return service.addUser(email, password, ['reader']);
  };
  const verifyHere = (token: string) =>
    service.call('postern.v1.AuthService/VerifyToken', { access_token: token });
  const verifyThere = (token: string, algorithm: string, key: unknown, audience = 'postern') =>
    ask({ verify: token, algorithm, key, audience, issuer });
  const nowSeconds = () => Math.floor(Date.now() / 1000);

  test('verifies our ES256 tokens with the published keys', async () => {
    const userId = await start();
    const token = await service.tokenOf(email, password);
    const response = await fetch(`${service.httpUrl}/.well-known/jwks.json`);
    const jwks = await response.json();
    const { claims } = await verifyThere(token, 'ES256', jwks);
    expect(claims).toMatchObject({ sub: userId, iss: issuer, roles: ['reader'] });
    const broken = `${token.slice(0, -4)}AAAA`;
    expect((await verifyThere(broken, 'ES256', jwks)).refused).toBe('JWTError');
    expect((await verifyThere(token, 'ES256', jwks, 'others')).refused).toBe('JWTClaimsError');
  });

  test('verifies our HS256 tokens with the shared secret, and Postern accepts its tokens', async () => {
    const userId = await start({ POSTERN_ALGORITHM: 'HS256', POSTERN_SECRET: secret });
    const token = await service.tokenOf(email, password);
    expect((await verifyThere(token, 'HS256', secret)).claims).toMatchObject({ sub: userId, aud: 'postern' });

    const claims = { sub: 'user 7', iss: issuer, aud: 'postern', iat: nowSeconds(), exp: nowSeconds() + 600 };
    expect((await verifyHere(await sign(claims))).response).toMatchObject({
      subject: 'user 7',
      audience: ['postern'],
      subject_type: 'USER',
    });
    expect((await verifyHere(await sign(claims, `${secret}!`))).reason).toBe('TOKEN_SIGNATURE_INVALID');
    const old = { ...claims, exp: nowSeconds() - 60 };
    expect((await verifyHere(await sign(old))).reason).toBe('TOKEN_EXPIRED');
    expect((await verifyHere(await sign({ ...claims, aud: 'others' }))).reason).toBe('TOKEN_CLAIMS_INVALID');
  });

  test('its legacy tokens are accepted until the end of the legacy period', async () => {
    const legacy = { user_id: 42, exp: nowSeconds() + 1_800 };
    await start({ POSTERN_LEGACY_HS256_SECRET: secret, POSTERN_LEGACY_HS256_UNTIL: '2100-01-01' });
    const token = await sign(legacy);
    expect((await verifyHere(token)).response).toMatchObject({ subject: '42', roles: [] });
    expect((await verifyHere(await sign(legacy, `${secret}!`))).reason).toBe('TOKEN_SIGNATURE_INVALID');
    // Anyone with the earlier secret can write any claim, so claims of legacy tokens grant nothing.
    const greedy = await verifyHere(await sign({ ...legacy, roles: ['admin'] }));
    expect(greedy.response).toMatchObject({ subject: '42', roles: [] });
    await service.stop();

    await start({ POSTERN_LEGACY_HS256_SECRET: secret, POSTERN_LEGACY_HS256_UNTIL: '2020-01-01' });
    expect((await verifyHere(token)).reason).toBe('TOKEN_ALG_NOT_ALLOWED');
  });
});
