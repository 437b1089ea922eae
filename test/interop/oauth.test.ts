import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as oauth from 'oauth4webapi';

import { account } from '../support/account.ts';
import { openAdminFixture, type AdminFixture, type Credentials } from '../support/admin-fixture.ts';
import { type ClientKey, makeClientKey } from '../support/client-assertion.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { runTool } from './run-tool.ts';
import { describeWith } from './tool.ts';

const user = { email: 'ann@example.com', password: 'correct horse battery' };
const issuer = 'http://127.0.0.1:8080';
const secret = 'b9b1a1e0d6c84f3b9c5a2f7e8d41c6035f7a9e2b1c8d4f60a3e5b7d9f1c2e4a6';

let database: TestDatabase;
let service: TestService;
let fixture: AdminFixture;
let billing: Credentials;
let key: ClientKey;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({ POSTERN_ISSUER: issuer, POSTERN_OAUTH: 'on' }, database);
  fixture = await openAdminFixture(database);
  billing = await fixture.createService('billing', ['reader']);
  key = makeClientKey();
  await fixture.addKey(billing.id, key.publicJwk);
  await service.addUser(user.email, user.password);
});
afterAll(async () => {
  await service.stop();
  await database.drop();
});

async function answerOf<Answer>(name: string, request: object): Promise<Answer> {
  const { stdout, stderr } = await runTool(name, [], JSON.stringify(request));
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Answer;
}
const pem = () => String(key.privateKey.export({ type: 'pkcs8', format: 'pem' }));

describe('oauth4webapi', () => {
  /** The issuer is a name here; a proxy would lead it to the listener. */
  const options = {
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- the listener is on loopback
    [oauth.allowInsecureRequests]: true,
    [oauth.customFetch]: (url: string, init: object) => fetch(url.replace(issuer, service.httpUrl), init),
  };
  const client = () => ({ client_id: billing.id });
  async function discover(): Promise<oauth.AuthorizationServer> {
    const response = await oauth.discoveryRequest(new URL(issuer), { ...options, algorithm: 'oauth2' });
    return oauth.processDiscoveryResponse(new URL(issuer), response);
  }
  async function privateKeyJwt(): Promise<oauth.ClientAuth> {
    const pkcs8 = key.privateKey.export({ type: 'pkcs8', format: 'der' });
    const imported = await crypto.subtle.importKey(
      'pkcs8',
      new Uint8Array(pkcs8),
      { name: 'ECDSA', namedCurve: 'P-256' },
      false,
      ['sign'],
    );
    return oauth.PrivateKeyJwt(imported);
  }

  test.each(['client_secret_basic', 'client_secret_post', 'private_key_jwt'])(
    'discovers, gets a token by %s, introspects it, revokes it',
    async (method) => {
      const server = await discover();
      expect(server.token_endpoint_auth_methods_supported).toContain(method);
      const authentication =
        method === 'client_secret_basic'
          ? oauth.ClientSecretBasic(billing.secret)
          : method === 'client_secret_post'
            ? oauth.ClientSecretPost(billing.secret)
            : await privateKeyJwt();
      const granted = await oauth.clientCredentialsGrantRequest(
        server,
        client(),
        authentication,
        new URLSearchParams({ resource: 'postern' }),
        options,
      );
      const { access_token: token } = await oauth.processClientCredentialsResponse(server, client(), granted);
      const introspect = async () =>
        oauth.processIntrospectionResponse(
          server,
          client(),
          await oauth.introspectionRequest(server, client(), authentication, token, options),
        );
      expect(await introspect()).toMatchObject({ active: true, sub: billing.id, roles: ['reader'] });
      const revoked = await oauth.revocationRequest(server, client(), oauth.None(), token, options);
      await oauth.processRevocationResponse(revoked);
      expect(await introspect()).toEqual({ active: false });
    },
  );

  test('refreshes the session of a user, and reads refusals', async () => {
    const server = await discover();
    const login = await account.login(service, user.email, user.password);
    const refresh = (token: string) =>
      oauth.refreshTokenGrantRequest(server, client(), oauth.None(), token, options);
    const granted = await oauth.processRefreshTokenResponse(
      server,
      client(),
      await refresh(login.refresh_token),
    );
    expect(granted.refresh_token).toMatch(/^prt_/);
    const refused = oauth.processRefreshTokenResponse(server, client(), await refresh('prt_x'));
    await expect(refused).rejects.toMatchObject({ error: 'invalid_grant', status: 400 });
    const wrong = await oauth.clientCredentialsGrantRequest(
      server,
      client(),
      oauth.ClientSecretBasic('psk_wrong'),
      new URLSearchParams(),
      options,
    );
    await expect(oauth.processClientCredentialsResponse(server, client(), wrong)).rejects.toMatchObject({
      cause: [{ scheme: 'basic' }],
    });
  });
});

describeWith('oauth-python', 'Authlib', () => {
  test.each(['client_secret_basic', 'client_secret_post', 'private_key_jwt'])(
    'gets a token by %s, introspects it, revokes it',
    async (method) => {
      const request = {
        program: 'authlib-client',
        url: service.httpUrl,
        issuer,
        client_id: billing.id,
        client_secret: billing.secret,
        private_key: pem(),
        method,
      };
      const answer = await answerOf<Record<string, unknown>>('oauth-python', request);
      expect(answer).toMatchObject({
        token: { token_type: 'bearer' },
        before: { active: true, sub: billing.id },
        revoked: 200,
        after: { active: false },
      });
      const { privateKey } = makeClientKey();
      const wrong = {
        ...request,
        client_secret: 'psk_wrong',
        private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      };
      expect(await answerOf('oauth-python', wrong)).toEqual({ error: 'invalid_client' });
    },
  );
});

describeWith('oauth-go', 'golang.org/x/oauth2', () => {
  test.each([true, false])('gets a token by client credentials, in the header: %s', async (inHeader) => {
    const request = {
      token_url: `${service.httpUrl}/oauth/token`,
      client_id: billing.id,
      client_secret: billing.secret,
      in_header: inHeader,
      audience: 'postern',
    };
    const answer = await answerOf<{ access_token: string }>('oauth-go', request);
    expect(await account.verdict(service, answer.access_token)).toBe('OK');
    expect(await answerOf('oauth-go', { ...request, client_secret: 'psk_wrong' })).toEqual({
      error: 'invalid_client',
      status: 401,
    });
  });
});

describeWith('oauth-python', 'a program of the FastAPI tutorial', () => {
  test('logs in and verifies with the shared secret, without a change of its requests', async () => {
    const login = await startTestService({
      POSTERN_ALGORITHM: 'HS256',
      POSTERN_SECRET: secret,
      POSTERN_PASSWORD_DOOR: 'on',
    });
    try {
      const id = await login.addUser(user.email, user.password);
      const request = { program: 'tutorial', url: login.httpUrl, secret, username: user.email };
      const answer = await answerOf<Record<string, unknown>>('oauth-python', {
        ...request,
        password: user.password,
      });
      const granted = { status: 200, body: { token_type: 'bearer' } };
      const refused = { status: 401, body: { detail: 'the credentials are wrong' }, challenge: 'Bearer' };
      expect(answer).toMatchObject({
        form: granted,
        short_form: granted,
        json: granted,
        me: Array(3).fill({ status: 200, body: { username: id } }),
        wrong: [refused, refused],
        stranger: { status: 401 },
      });
    } finally {
      await login.stop();
    }
  });
});
