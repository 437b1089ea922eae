// CLIENT_ID=… CLIENT_SECRET=… node server.mjs [POSTERN_GRPC_ADDRESS] [PORT] [ORIGIN]
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import express from 'express';
import {
  createAuthClient,
  createVerifier,
  PosternError,
  requireToken,
  serviceCredential,
} from 'postern/client';
import { accessOf, challengeOf, factorRoutes, passkeyOf, textOf } from './factors.mjs';

const [postern = '127.0.0.1:50051', port = '3000', listed] = process.argv.slice(2);
const account = { clientId: process.env.CLIENT_ID, clientSecret: process.env.CLIENT_SECRET };
// How many seconds ago a person who pays must have proven who they are.
const maxAuthAgeSeconds = Number(process.env.MAX_AUTH_AGE ?? 300);
const upstream = { address: postern };
// With the credential Postern believes the address of the browser, and counts attempts to log in by it.
const auth = createAuthClient({ ...upstream, credential: serviceCredential(upstream, account) });
const verifier = createVerifier({ trust: { upstream, credential: account } });

// A browser sends a cookie of this prefix only with HTTPS (or to localhost), and takes it from no other host: no sibling
// domain can put its own session in the place of the person's.
const COOKIE = '__Host-refresh';
const cookie = { httpOnly: true, secure: true, sameSite: 'strict', path: '/' };
const keep = (response, { refreshToken, refreshExpiresIn }) =>
  response.cookie(COOKIE, refreshToken, { ...cookie, maxAge: refreshExpiresIn * 1000 });
const forget = (response) => response.clearCookie(COOKIE, cookie);
const refreshTokenIn = ({ headers }) =>
  new RegExp(`(?:^|; )${COOKIE}=([\\w.-]+)`).exec(headers.cookie ?? '')?.[1];
/** The session that the browser had before ends: its cookie is replaced, so that nobody could log out of it any more. */
async function begin(request, response, tokens) {
  const token = refreshTokenIn(request);
  if (token !== undefined) await auth.revokeToken({ token }).catch(({ message }) => console.error(message));
  keep(response, tokens).sendStatus(204);
}
const clientOf = ({ ip, headers }) => ({ address: ip, userAgent: headers['user-agent'] });

const app = express();
app.disable('x-powered-by');
// The proxy that ends TLS. Without this line the address of every browser would be that of the proxy.
app.set('trust proxy', 'loopback');

app.use((request, response, next) => {
  response.set({
    // No inline script runs, no text becomes a script or markup (Trusted Types), no other site frames the page, and no form is
    // sent but by the page's own script.
    'content-security-policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    'strict-transport-security': 'max-age=31536000',
    'cross-origin-opener-policy': 'same-origin',
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  });
  next();
});

// Only the application's own pages may change something. SameSite alone lets sibling domains through, and does not protect the
// login, which needs no cookie. A browser without sec-fetch-site sends at least the origin.
app.use((request, response, next) => {
  const { 'sec-fetch-site': site, origin } = request.headers;
  const isOwn = site === undefined ? origin !== undefined && origin === ownOrigin : site === 'same-origin';
  if (request.method === 'GET' || request.method === 'HEAD' || isOwn) next();
  else response.status(403).send('this request comes from another site');
});

const publicFolder = fileURLToPath(new URL('public', import.meta.url));
app.get('/', (request, response) =>
  response.sendFile('page.html', { root: publicFolder, cacheControl: false }),
);
app.use('/assets', express.static(publicFolder, { index: false, cacheControl: false }));

app.use(express.json({ limit: '20kb' }));

// Somebody with a second factor gets SECOND_FACTOR_REQUIRED. The page then asks for the code, and sends both.
app.post('/login', async (request, response) => {
  const { email, password, code } = request.body ?? {};
  const typed = { email: textOf(email), password: textOf(password), code: textOf(code) };
  await begin(request, response, await auth.login({ ...typed, client: clientOf(request) }));
});

app.post('/login/passkey/begin', async (request, response) => {
  response.json(challengeOf(await auth.beginPasskeyLogin()));
});

app.post('/login/passkey', async (request, response) => {
  const passkey = passkeyOf(request.body);
  await begin(request, response, await auth.loginWithPasskey({ ...passkey, client: clientOf(request) }));
});

// The page gets an access token for its memory, and the browser the next refresh token. Tabs that ask at the same time get the
// same successor, for the grace time of Postern.
app.post('/token', async (request, response) => {
  const refreshToken = refreshTokenIn(request);
  if (refreshToken === undefined) return void response.status(401).json({ error: 'NOT_LOGGED_IN' });
  try {
    const tokens = await auth.refreshToken(refreshToken);
    keep(response, tokens).json(accessOf(tokens));
  } catch (error) {
    if (httpStatusOf(error) !== 401) throw error;
    forget(response).status(401).json({ error: 'NOT_LOGGED_IN' });
  }
});

app.post('/logout', async (request, response) => {
  const token = refreshTokenIn(request);
  // Where this fails the cookie stays: a logout that did nothing must not look like one.
  if (token !== undefined) await auth.revokeToken({ token });
  forget(response).sendStatus(204);
});

// Second factors, and fresh proof of who the person is. These, too, take the access token, never the cookie.
app.use('/account', requireToken(verifier), factorRoutes(auth));

// The application's own API takes the access token, and so may move to another host.
app.get('/api/me', requireToken(verifier), ({ caller }, response) =>
  response.json({ subject: caller.subject, roles: caller.roles, acr: caller.acr }),
);
// What is sensitive wants a fresh proof: with an older one this answers 401 STEP_UP_REQUIRED, and the page asks for one.
app.post('/api/payments', requireToken(verifier, { maxAuthAgeSeconds }), ({ caller }, response) =>
  response.status(201).json({ paidBy: caller.subject }),
);

app.use((request, response) => response.status(404).send('there is nothing here'));

// `error` is the reason of Postern's refusal, which the page puts into words.
app.use((error, request, response, next) => {
  const code = error.status ?? httpStatusOf(error);
  if (code >= 500) console.error(error.message);
  if (code === 503) response.set('retry-after', '1');
  const { reason, factors = [] } = error instanceof PosternError ? error : {};
  response.status(code).json({ error: reason ?? 'FAILED', ...(factors.length > 0 && { factors }) });
});

function httpStatusOf({ code }) {
  if (code === status.UNAUTHENTICATED) return 401;
  if (code === status.INVALID_ARGUMENT) return 400;
  if (code === status.PERMISSION_DENIED || code === status.FAILED_PRECONDITION) return 403;
  if (code === status.NOT_FOUND) return 404;
  if (code === status.RESOURCE_EXHAUSTED) return 429;
  return code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED ? 503 : 500;
}

const server = app.listen(Number(port), '127.0.0.1', () =>
  console.log(JSON.stringify({ event: 'listening', port: server.address().port })),
);
const ownOrigin = listed ?? `http://localhost:${port}`;
process.once('SIGTERM', () => {
  server.close(() => {
    verifier.close();
    auth.close();
  });
  server.closeIdleConnections();
});
