// The measured memory of a cached token and of a revocation, compared with the estimates in the code.
// node test/soak/token-memory.mjs [--tokens 100000] [--revocations 1000000]   (after `npm run build`)
// Exits with 1 when the cache takes more than its estimate, or a revocation more than 110 bytes.
import { randomBytes, randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { checkClaims } from '../../dist/domain/claims/claims.js';
import { RevocationSet } from '../../dist/domain/revocation-set.js';
import { checkFormat } from '../../dist/tokens/verify/token-format.js';
import { VerifiedTokenCache } from '../../dist/tokens/verify/verified-token-cache.js';

const { values } = parseArgs({
  options: {
    tokens: { type: 'string', default: '100000' },
    revocations: { type: 'string', default: '1000000' },
  },
});
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc');

/** Heap and array buffers after a collection; RSS would also count what the collector keeps for later. */
function bytesInUse() {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const nowSeconds = Math.floor(Date.now() / 1000);
const kid = randomBytes(32).toString('base64url');

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** The text of a user's token; the signature is not checked here. */
function tokenText(policy, roles) {
  const claims = {
    iss: policy.issuer,
    sub: randomUUID(),
    aud: policy.audiences[0],
    exp: nowSeconds + 600,
    iat: nowSeconds,
    jti: randomBytes(16).toString('base64url'),
    sid: randomUUID(),
    client_id: 'postern',
    roles,
  };
  const header = { alg: 'ES256', kid, typ: 'at+jwt' };
  // As for an incoming token: one flat string decoded from bytes.
  const text = `${encode(header)}.${encode(claims)}.${randomBytes(64).toString('base64url')}`;
  return Buffer.from(text).toString('utf8');
}

function measureCache(label, issuer, roles) {
  const policy = { issuer, audiences: ['postern'], maxLifetimeSeconds: 600, skewSeconds: 5 };
  const count = Number(values.tokens);
  const before = bytesInUse();
  const cache = new VerifiedTokenCache(2 ** 40);
  for (let made = 0; made < count; made++) {
    const token = tokenText(policy, roles);
    const unverified = checkFormat(token);
    const verdict = checkClaims('access', unverified.claims, policy, kid, nowSeconds);
    if (!verdict.ok) throw new Error(verdict.refusal.detail);
    cache.set(token, { verdict, policy, refusedFromMs: Infinity, trustedRevision: undefined });
  }
  const measured = bytesInUse() - before;
  const estimated = cache.bytes;
  console.log(
    JSON.stringify({
      what: `cache, ${label}`,
      tokens: cache.size,
      measuredBytesEach: Math.round(measured / count),
      believedBytesEach: Math.round(estimated / count),
    }),
  );
  return measured / estimated;
}

function measureRevocations(label, kind, makeId) {
  const count = Number(values.revocations);
  const before = bytesInUse();
  const set = new RevocationSet();
  for (let made = 0; made < count; made++) set.add(kind, makeId(), nowSeconds + 600);
  const each = (bytesInUse() - before) / count;
  const probe = randomUUID();
  const startedMs = performance.now();
  for (let asked = 0; asked < 1_000_000; asked++) set.has(kind, probe);
  const nanosecondsEach = performance.now() - startedMs;
  const purgedFromMs = performance.now();
  set.purge(nowSeconds + 601);
  const purgeMs = performance.now() - purgedFromMs;
  console.log(
    JSON.stringify({
      what: `revocations, ${label}`,
      entries: count,
      bytesEach: Math.round(each),
      lookUpNs: Math.round(nanosecondsEach),
      onePurgeMs: Number(purgeMs.toFixed(2)),
    }),
  );
  return each <= 110;
}

const kept = [
  measureCache('short issuer, no role', 'http://127.0.0.1:8080', []) <= 1,
  measureCache('long issuer, three roles', 'https://accounts.example.com/realms/production', [
    'admin',
    'billing-reader',
    'support-agent',
  ]) <= 1,
  // Two bytes a character in memory: documented as up to a quarter more than the estimate.
  measureCache('a role beyond Latin-1', 'http://127.0.0.1:8080', ['管理者']) <= 1.25,
  measureRevocations('session ids', 'sid', () => randomUUID()),
  measureRevocations('token ids', 'jti', () => randomBytes(16).toString('base64url')),
];
process.exitCode = kept.every(Boolean) ? 0 : 1;
