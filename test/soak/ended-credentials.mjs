// How long a credential stays valid after what it came from has ended: a binding, an issuer, an API key, a role of its owner,
// a right to act for others, an account, a user.
// node test/soak/ended-credentials.mjs [--rounds 200] [--only NAME] [--verifier 'NAME=COMMAND' ...] [--json]   (after `npm run build`)
// Three services on one database, two sidecars, a verifier in this process, and those of --verifier: programs that read one
// credential a line and answer each with `OK ROLE,ROLE...` or a reason; POSTERN_ADDRESS, POSTERN_CLIENT_ID and
// POSTERN_CLIENT_SECRET say where keys and revocations come from. In each round the credentials are accepted everywhere; then
// one service ends what they came from, while the others go on exchanging it. Delays count from its answer to the last time
// that one of the credentials was accepted, those included that the others issued meanwhile. "logout" is what the others
// compare with. Exits with 1 when one was not refused within 10 seconds, or beyond a p99 of 100 ms for the slowest verifier.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { URL } from 'node:url';
import { parseArgs } from 'node:util';
import jwt from 'jsonwebtoken';
import { createVerifier } from '../../dist/client/postern-client.js';
import { openBenchService, password } from '../../bench/bench-service.mjs';
import { report } from './delay-report.mjs';
import { startProgram } from './verifier-program.mjs';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '200' },
    only: { type: 'string', multiple: true, default: [] },
    verifier: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
  },
});
const ROUNDS = Number(values.rounds);
const GIVE_UP_MS = 10_000;
const RACING = 4;
const REFUSALS = ['TOKEN_REVOKED', 'API_KEY_INVALID', 'ROLE_MISSING'];
const ROLE = 'reader';
const ISSUER = 'https://issuer.example';
const POSTERN = 'https://postern.example';

const fixture = await openBenchService();
await fixture.addUser('admin@example.com', ['admin']);
// An owner may have 500 API keys in a day.
for (const name of ['ann', 'bob', 'cyd']) await fixture.addUser(`${name}@example.com`, [ROLE]);
const quick = new URL('../../bench/with-quick-argon2.mjs', import.meta.url).href;
const environment = {
  POSTERN_ISSUER: POSTERN,
  POSTERN_AUDIENCE: 'postern,orders,billing',
  NODE_OPTIONS: `--import=${quick}`,
};
const services = [];
for (const name of ['one', 'two', 'three'])
  services.push(Object.assign(await fixture.serve(environment), { name }));

async function done(method, request, token = admin, service = services[0]) {
  const { verdict, response, detail } = await service.call(method, request, token);
  if (verdict !== 'OK') throw new Error(`${method}: ${verdict} ${detail}`);
  return response;
}
const login = async (email) => (await done('Login', { email, password }, '')).access_token;
const admin = await login('admin@example.com');
const manage = (method, request, service) => done(`AdminService/${method}`, request, admin, service);
const subjectOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).sub;
const ann = subjectOf(await login('ann@example.com'));
const bob = subjectOf(await login('bob@example.com'));
const cyd = subjectOf(await login('cyd@example.com'));

// Where credentials are verified.

const watcher = await manage('CreateServiceAccount', { name: 'watcher' });
const credential = { clientId: watcher.client_id, clientSecret: watcher.client_secret };
const sidecars = [
  await fixture.sidecar(services[1], credential),
  await fixture.sidecar(services[2], credential),
];
const local = createVerifier({ trust: { upstream: { address: services[1].address }, credential } });
await local.ready(GIVE_UP_MS);
const programs = values.verifier.map((option) =>
  startProgram(option, {
    POSTERN_ADDRESS: services[2].address,
    POSTERN_CLIENT_ID: watcher.client_id,
    POSTERN_CLIENT_SECRET: watcher.client_secret,
  }),
);

const inRole = (roles) => (roles.includes(ROLE) ? 'OK' : 'ROLE_MISSING');
const asked = (server) => async (text) => {
  const { verdict, response } = await server.call('VerifyToken', { access_token: text });
  return response ? inRole(response.roles) : verdict;
};
const verifiers = [
  ...services.map((service) => ({ group: 'service', service, verdict: asked(service) })),
  ...sidecars.map((sidecar) => ({ group: 'sidecar', verdict: asked(sidecar) })),
  {
    group: 'Node.js',
    async verdict(text) {
      try {
        return inRole((await local.verify(text)).roles);
      } catch (error) {
        return error.reason ?? error.message;
      }
    },
  },
  ...programs.map(({ name, ask }) => ({
    group: name,
    async verdict(text) {
      const [verdict, roles = ''] = (await ask(text)).split(' ');
      return verdict === 'OK' ? inRole(roles.split(',')) : verdict;
    },
  })),
];

// What ends.

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwks = JSON.stringify({
  keys: [{ ...key.publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256' }],
});
const outside = (subject, issuer = ISSUER) =>
  jwt.sign({ sub: subject, jti: randomUUID() }, key.privateKey, {
    algorithm: 'ES256',
    keyid: 'k1',
    issuer,
    audience: POSTERN,
    expiresIn: 300,
  });
const trusted = await manage('CreateTrustedIssuer', { issuer: ISSUER, keys: { static_jwks: jwks } });
const billing = await manage('CreateServiceAccount', { name: 'billing', roles: [ROLE] });
const orders = await manage('CreateServiceAccount', {
  name: 'orders',
  roles: [ROLE],
  own_audiences: ['orders'],
  delegation_audiences: ['billing'],
});

const bind = (subject, account) =>
  manage('CreateWorkloadBinding', {
    issuer_id: trusted.id,
    client_id: account.client_id,
    claims: { sub: subject },
  });
const secretToken = async ({ client_id, client_secret }) =>
  (await done('IssueServiceToken', { client_id, client_secret }, '')).access_token;
const createKey = async (owner) => {
  const request = { ...owner, api_key: { name: randomUUID(), roles: [ROLE] } };
  const { secret, api_key } = await manage('CreateApiKey', request);
  return { secret, id: api_key.id };
};
const exchangeAt = (service, request) => service.call('ExchangeToken', request);
/** A key that was made a moment ago may be unknown for the length of one read, which is long on a busy machine. */
async function exchanged(request) {
  for (const startMs = performance.now(); ; await pause(5)) {
    const { verdict, response, detail } = await exchangeAt(services[0], request);
    if (response) return response.access_token;
    if (verdict !== 'API_KEY_INVALID' || performance.now() - startMs > GIVE_UP_MS)
      throw new Error(`ExchangeToken: ${verdict} ${detail}`);
  }
}
const keyOf = async (user_id, end) => {
  const { secret, id } = await createKey({ user_id });
  const request = { subject_token: secret };
  return { credentials: [secret, await exchanged(request)], racing: () => request, end: (at) => end(at, id) };
};
const revokeKey = (at, id) => manage('RevokeApiKey', { id }, at);
const change = (user_id, changes, at) => manage('UpdateUser', { user_id, ...changes }, at);

/** Each makes the credentials of a round, and says how what they came from ends and what is exchanged meanwhile. */
const endings = {
  async logout() {
    const token = await login('ann@example.com');
    const racing = () => ({ subject_token: token, audience: 'orders' });
    return {
      credentials: [token, await exchanged(racing())],
      racing,
      end: (at) => done('RevokeToken', { token }, '', at),
    };
  },
  async 'binding deleted'() {
    const subject = randomUUID();
    const { id } = await bind(subject, billing);
    const racing = () => ({ subject_token: outside(subject) });
    return {
      credentials: [await exchanged(racing())],
      racing,
      end: (at) => manage('DeleteWorkloadBinding', { id }, at),
    };
  },
  async 'issuer disabled'() {
    const subject = randomUUID();
    const { id } = await bind(subject, billing);
    const racing = () => ({ subject_token: outside(subject) });
    return {
      credentials: [await exchanged(racing())],
      racing,
      end: (at) => manage('UpdateTrustedIssuer', { id: trusted.id, disabled: true }, at),
      async restore() {
        await manage('UpdateTrustedIssuer', { id: trusted.id, disabled: false });
        await manage('DeleteWorkloadBinding', { id });
      },
    };
  },
  'key revoked': () => keyOf(ann, revokeKey),
  async 'role of the owner taken'() {
    let keyId;
    const round = await keyOf(bob, (at, id) => {
      keyId = id;
      return change(bob, { roles: { roles: [] } }, at);
    });
    const restore = async () => {
      await change(bob, { roles: { roles: [ROLE] } });
      await revokeKey(services[0], keyId);
    };
    return { ...round, restore };
  },
  async 'delegation removed'() {
    const subject_token = await exchanged({
      subject_token: await login('ann@example.com'),
      audience: 'orders',
    });
    const actor_token = await secretToken(orders);
    const racing = () => ({ subject_token, actor_token, audience: 'billing' });
    const allow = (audiences, at) =>
      manage(
        'UpdateServiceAccount',
        { client_id: orders.client_id, delegation_audiences: { audiences } },
        at,
      );
    return {
      credentials: [await exchanged(racing())],
      racing,
      end: (at) => allow([], at),
      restore: () => allow(['billing'], services[0]),
    };
  },
  async 'account deleted'() {
    const account = await manage('CreateServiceAccount', { name: `account-${randomUUID()}`, roles: [ROLE] });
    const subject = randomUUID();
    await bind(subject, account);
    const { secret } = await createKey({ client_id: account.client_id });
    const racing = () => ({ subject_token: outside(subject) });
    const tokens = await Promise.all([
      secretToken(account),
      exchanged(racing()),
      exchanged({ subject_token: secret }),
    ]);
    const end = (at) => manage('DeleteServiceAccount', { client_id: account.client_id }, at);
    return { credentials: [secret, ...tokens], racing, end };
  },
  async 'user disabled'() {
    const token = await login('cyd@example.com');
    const { secret, id } = await createKey({ user_id: cyd });
    const racing = () => ({ subject_token: token, audience: 'orders' });
    const tokens = [await exchanged(racing()), await exchanged({ subject_token: secret })];
    return {
      credentials: [token, secret, ...tokens],
      racing,
      end: (at) => change(cyd, { disabled: true }, at),
      async restore() {
        await change(cyd, { disabled: false });
        await revokeKey(services[0], id);
      },
    };
  },
};

async function untilAccepted({ group, verdict }, text) {
  for (const startMs = performance.now(); ; await pause(5)) {
    const before = await verdict(text);
    if (before === 'OK') return;
    if (performance.now() - startMs > GIVE_UP_MS) throw new Error(`before the end, ${group}: ${before}`);
  }
}

/** @returns how long the credential was still accepted: until the last answer that was OK; 0 when there was none */
async function acceptedFor(verifier, { text, sinceMs }) {
  let acceptedMs = 0;
  for (;;) {
    const verdict = await verifier.verdict(text);
    const delayMs = performance.now() - sinceMs;
    if (REFUSALS.includes(verdict)) return acceptedMs;
    if (verdict === 'OK') acceptedMs = Math.max(0, delayMs);
    // The verifier could not ask in time: it accepts nothing, and another call says more.
    else if (verdict !== 'TRUST_STALE') throw new Error(`after the end, ${verifier.group}: ${verdict}`);
    if (delayMs > GIVE_UP_MS) return Infinity;
    await pause(1);
  }
}

/** @returns the delay at each verifier, and how many credentials were issued meanwhile */
async function round(make, index) {
  const { credentials, racing, end, restore } = await make();
  for (const verifier of verifiers)
    await Promise.all(credentials.map((text) => untilAccepted(verifier, text)));
  const at = services[index % services.length];
  const others = services.filter((service) => service !== at);
  const races = Array.from({ length: RACING }, async (_, turn) => {
    const { response } = await exchangeAt(others[turn % others.length], racing());
    return response && { text: response.access_token, sinceMs: performance.now() };
  });
  // Sometimes before the exchanges, sometimes after.
  await pause(index % 8);
  await end(at);
  const endMs = performance.now();
  const all = [
    ...credentials.map((text) => ({ text, sinceMs: endMs })),
    ...races.map(async (race) => {
      const issued = await race;
      return issued && { ...issued, sinceMs: Math.max(issued.sinceMs, endMs) };
    }),
  ];
  const delays = await Promise.all(
    verifiers.map(async (verifier) => {
      const group = verifier.service === at ? 'service that answered' : verifier.group;
      const each = all.map(async (one) => {
        const issued = await one;
        return issued === undefined ? 0 : acceptedFor(verifier, issued);
      });
      return { group, delayMs: Math.max(...(await Promise.all(each))) };
    }),
  );
  const issued = (await Promise.all(races)).filter((one) => one !== undefined);
  await restore?.();
  return { delays, issued: issued.length };
}

try {
  let good = true;
  for (const [what, make] of Object.entries(endings)) {
    if (values.only.length > 0 && !values.only.includes(what)) continue;
    const rounds = [];
    for (let index = 0; index < ROUNDS; index += 1) rounds.push(await round(make, index));
    good = report(what, rounds, values.json) && good;
  }
  process.exitCode = good ? 0 : 1;
} finally {
  await local.close();
  await Promise.all(programs.map((program) => program.stop()));
  await fixture.stop();
}
