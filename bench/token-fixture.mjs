// The fixture of the token scenarios: a database with a user, keys and tokens, and the service on it.
import { setTimeout as pause } from 'node:timers/promises';
import { URL } from 'node:url';
import { masterKeyOf } from '../dist/crypto/sealed-envelope.js';
import {
  LoginRequest,
  TokenSet,
  VerifiedToken,
  VerifyTokenRequest,
} from '../dist/generated/postern/v1/auth.js';
import { passwordAuthentication } from '../dist/domain/claims/authentication.js';
import { AccessTokenIssuer } from '../dist/features/sessions/access-token-issuer.js';
import { loadKeyRing } from '../dist/features/signing-keys/load-key-ring.js';
import { listVerifyingKeys } from '../dist/features/signing-keys/signing-key-queries.js';
import { openSession, unaryCall } from './load/callers.mjs';
import { postern, startMeasured } from './measured-process.mjs';
import { masterKey, openBenchService, password } from './bench-service.mjs';

export const LOGIN = '/postern.v1.AuthService/Login';
export const REFRESH = '/postern.v1.AuthService/RefreshToken';
export const VERIFY = '/postern.v1.AuthService/VerifyToken';
export const email = 'bench@example.com';
export const issuer = 'http://127.0.0.1:8080';
export const audience = 'postern';
const TOKEN_SECONDS = 86_400;

/** @param {object} extra additional settings for every service of this fixture */
export async function openTokenFixture(extra = {}) {
  const fixture = await openBenchService();
  const environment = {
    DATABASE_URL: fixture.url,
    POSTERN_MASTER_KEY: masterKey,
    POSTERN_GRPC_LISTEN: '127.0.0.1:0',
    POSTERN_HTTP_LISTEN: '127.0.0.1:0',
    POSTERN_ACCESS_TOKEN_TTL: `${TOKEN_SECONDS}s`,
    ...extra,
  };
  /** Starts the service and waits until it is ready. */
  const serve = ({ command = postern, ...options } = {}) =>
    startReady([command, 'serve'], { ...options, environment: { ...environment, ...options.environment } });
  await fixture.addUser(email);
  const service = await serve();
  const tokens = TokenSet.decode(await callOnce(service.grpc, LOGIN, loginMessage(email)));
  await service.stop();
  const ring = await loadKeyRing(await fixture.database.unlimited((trx) => listVerifyingKeys(trx)), [
    masterKeyOf(Buffer.from(masterKey, 'base64')),
  ]);
  const minter = new AccessTokenIssuer({
    issuer,
    audiences: () => [audience],
    lifetimeSeconds: TOKEN_SECONDS,
    signer: () => ring.signer,
    nowMs: Date.now,
  });
  const authentication = passwordAuthentication(Date.now() / 1_000);
  return {
    ...fixture,
    environment,
    serve,
    token: tokens.accessToken,
    jwks: ring.jwks.json,
    /** Issues distinct tokens of distinct sessions with the key of the service, which accepts them as its own. */
    async mint(count) {
      const minted = [];
      for (let made = 0; made < count; made++) {
        const sessionId = globalThis.crypto.randomUUID();
        const user = {
          userId: tokens.userId,
          sessionId,
          externalId: null,
          roles: [],
          audience,
          authentication,
        };
        minted.push((await minter.issueToUser(user)).token);
      }
      return minted;
    },
  };
}

/** Starts a service or a sidecar and waits until it is ready. */
export async function startReady(script, options) {
  const server = await startMeasured(script, options);
  const limitMs = performance.now() + 60_000;
  const isReady = () =>
    globalThis.fetch(new URL(`http://${server.http}/readyz`)).then(
      ({ status }) => status === 200,
      () => false,
    );
  while (!(await isReady())) {
    if (performance.now() > limitMs) throw new Error(`${script.join(' ')} was not ready within a minute`);
    await pause(20);
  }
  return server;
}

export async function callOnce(address, path, message) {
  const session = openSession(address);
  return unaryCall(session, path, message).finally(() => session.close());
}

export function loginMessage(forEmail) {
  return loginMessageWithCode(forEmail, '');
}

export function loginMessageWithCode(forEmail, code) {
  return LoginRequest.encode({
    email: forEmail,
    password,
    audience: '',
    client: undefined,
    code,
    passkey: undefined,
  }).finish();
}

export function verifyMessage(token) {
  return VerifyTokenRequest.encode({
    accessToken: token,
    audience: '',
    minAcr: '',
    maxAuthAge: undefined,
    clientAddress: '',
  }).finish();
}

/** The response of VerifyToken, checked to have a subject. */
export async function verifyAnswer(address, token) {
  const answer = await callOnce(address, VERIFY, verifyMessage(token));
  if (VerifiedToken.decode(answer).subject === '')
    throw new Error('the response of VerifyToken has no subject');
  return answer;
}
