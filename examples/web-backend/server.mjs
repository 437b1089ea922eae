// CLIENT_ID=… CLIENT_SECRET=… node server.mjs [POSTERN_GRPC_ADDRESS] [PORT] [ORIGIN]
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { status } from '@grpc/grpc-js';
import express from 'express';
import { createAuthClient, createVerifier, requireToken, serviceCredential } from 'postern/client';

const [postern = '127.0.0.1:50051', port = '3000', listed] = process.argv.slice(2);
const account = { clientId: process.env.CLIENT_ID, clientSecret: process.env.CLIENT_SECRET };
const upstream = { address: postern };
// With the credential Postern believes the address of the browser, and counts attempts to log in by it.
const auth = createAuthClient({ ...upstream, credential: serviceCredential(upstream, account) });
const verifier = createVerifier({ trust: { upstream, credential: account } });

const publicFolder = fileURLToPath(new URL('public', import.meta.url));
const page = readFileSync(`${publicFolder}/page.html`, 'utf8');
const withMessage = (message) => page.replace('<output></output>', `<output>${message}</output>`);

// A browser sends a cookie of this prefix only with HTTPS (or to localhost), and takes it from no other host: no sibling
// domain can put its own session in the place of the person's.
const COOKIE = '__Host-refresh';
const cookie = { httpOnly: true, secure: true, sameSite: 'strict', path: '/' };
const keep = (response, { refreshToken, refreshExpiresIn }) =>
  response.cookie(COOKIE, refreshToken, { ...cookie, maxAge: refreshExpiresIn * 1000 });
const forget = (response) => response.clearCookie(COOKIE, cookie);
const refreshTokenIn = ({ headers }) =>
  new RegExp(`(?:^|; )${COOKIE}=([\\w.-]+)`).exec(headers.cookie ?? '')?.[1];

const app = express();
app.disable('x-powered-by');
// The proxy that ends TLS. Without this line the address of every browser would be that of the proxy.
app.set('trust proxy', 'loopback');

app.use((request, response, next) => {
  response.set({
    // No inline script runs, no other site frames the page, and a form is sent nowhere else.
    'content-security-policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
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

app.get('/', (request, response) => response.send(page));
app.use('/assets', express.static(publicFolder, { index: false, cacheControl: false }));

app.post('/login', express.urlencoded({ extended: false, limit: '4kb' }), async (request, response) => {
  const { email, password } = request.body ?? {};
  try {
    const client = { address: request.ip, userAgent: request.headers['user-agent'] };
    keep(response, await auth.login({ email: String(email), password: String(password), client }));
    response.redirect(303, '/');
  } catch (error) {
    const code = httpStatusOf(error);
    if (code === 429)
      response.status(429).send(withMessage('Too many attempts. Wait a minute, then try again.'));
    else if (code < 500) response.status(401).send(withMessage('The e-mail or the password is wrong.'));
    else throw error;
  }
});

// The page gets an access token for its memory, and the browser the next refresh token. Tabs that ask at the same time get the
// same successor, for the grace time of Postern.
app.post('/token', async (request, response) => {
  const refreshToken = refreshTokenIn(request);
  if (refreshToken === undefined) return void response.status(401).json({ error: 'not logged in' });
  try {
    const tokens = await auth.refreshToken(refreshToken);
    keep(response, tokens).json({ accessToken: tokens.accessToken, expiresIn: tokens.expiresIn });
  } catch (error) {
    if (httpStatusOf(error) !== 401) throw error;
    forget(response).status(401).json({ error: 'not logged in' });
  }
});

app.post('/logout', async (request, response) => {
  const token = refreshTokenIn(request);
  // Where this fails the cookie stays: a logout that did nothing must not look like one.
  if (token !== undefined) await auth.revokeToken({ token });
  forget(response).redirect(303, '/');
});

// The application's own API takes the access token, never the cookie, and so may move to another host.
app.get('/api/me', requireToken(verifier), ({ caller }, response) =>
  response.json({ subject: caller.subject, roles: caller.roles }),
);

app.use((request, response) => response.status(404).send('there is nothing here'));

app.use((error, request, response, next) => {
  const code = error.status ?? httpStatusOf(error);
  if (code >= 500) console.error(error.message);
  if (code === 503) response.set('retry-after', '1');
  response.status(code).send(code === 503 ? 'try again in a moment' : 'this did not work');
});

function httpStatusOf({ code }) {
  if (code === status.UNAUTHENTICATED) return 401;
  if (code === status.INVALID_ARGUMENT) return 400;
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
