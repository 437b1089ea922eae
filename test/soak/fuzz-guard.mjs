// Runs the format guard and the claim rules on mutated tokens: no exception and no slow input is allowed.
// node test/soak/fuzz-guard.mjs [--inputs 1000000] [--seed 1]   (after `npm run build`)
// Prints the outcomes and the slowest input; exits with 1 on an exception or a slow input.
import { parseArgs } from 'node:util';
import { checkClaims } from '../../dist/domain/claims/claims.js';
import { checkFormat } from '../../dist/tokens/verify/token-format.js';
import { createKeyRing } from '../../dist/tokens/verify/key-ring.js';
import { selectKey } from '../../dist/tokens/verify/select-key.js';

const { values } = parseArgs({
  options: { inputs: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
});
const inputs = Number(values.inputs);
if (!Number.isInteger(inputs) || inputs < 1) throw new RangeError('--inputs is a whole number above 0');
const nowSeconds = 1_800_000_000;
const policy = {
  issuer: 'https://auth.example',
  audiences: ['postern'],
  maxLifetimeSeconds: 600,
  skewSeconds: 5,
};
/**
 * A refusal may take this long (T02); a text of a megabyte is not parsed at all. An input slower than `suspect` is
 * timed again: a pause of the collector or of the machine does not recur.
 */
const limitMs = { refusal: 5, megabyte: 5, suspect: 0.5 };
const tries = 8;

/** A small generator with a seed (mulberry32), so that a failure can be reproduced. */
function randomOf(seed) {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const random = randomOf(Number(values.seed));
const pick = (list) => list[random(list.length)];
const encode = (text) => Buffer.from(text).toString('base64url');

const header = '{"alg":"ES256","kid":"some-kid","typ":"at+jwt"}';
const claims = JSON.stringify({
  iss: policy.issuer,
  sub: '0197a1b2-0000-7000-8000-000000000001',
  aud: 'postern',
  exp: nowSeconds + 600,
  iat: nowSeconds,
  jti: 'AAAAAAAAAAAAAAAAAAAAAA',
  sid: '0197a1b2-0000-7000-8000-000000000002',
  client_id: 'postern',
  roles: ['admin', 'user'],
});
const signature = Buffer.alloc(64, 7).toString('base64url');

/** Fragments spliced into JSON that parsers often handle wrongly. */
const jsonPieces = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  '\\',
  '\\"',
  '\\u0061',
  '\\ud800',
  '\\u',
  '1e400',
  '-0',
  '0.1e-9',
  '1e',
  '-',
  'null',
  'true',
  'nul',
  '"alg"',
  '"kid"',
  '"sub":',
  '"exp":',
  '"__proto__":',
  '"a":1,"a":2',
  '\u0000',
  '\n',
  '\ufeff',
  '\u{1f511}',
  '[['.repeat(40),
  '{"x":'.repeat(40),
  '"'.repeat(50),
  '\\'.repeat(51),
  ' '.repeat(300),
  '9'.repeat(300),
  '"aud":["postern",["postern"]]',
  '"exp":1e400',
  '"x":'.repeat(9),
];
const textPieces = [
  '.',
  '..',
  '=',
  ' ',
  'A',
  '_',
  '-',
  '+',
  '/',
  'é',
  '\u0000',
  'prt_',
  '{',
  'e30',
  'AAAAA',
  '.'.repeat(200),
];

function splice(text, pieces) {
  const at = random(text.length + 1);
  switch (random(5)) {
    case 0:
      return text.slice(0, at) + pick(pieces) + text.slice(at);
    case 1:
      return text.slice(0, at) + pick(pieces) + text.slice(at + random(20));
    case 2:
      return text.slice(0, at) + text.slice(at + 1 + random(20));
    case 3:
      return text.slice(0, at) + text.slice(random(text.length + 1));
    default:
      return (
        text.slice(0, at) + String.fromCharCode(random(random(4) === 0 ? 0x10000 : 0x80)) + text.slice(at + 1)
      );
  }
}

function mutated(text, pieces) {
  let changed = text;
  for (let times = random(4); times > 0; times--) changed = splice(changed, pieces);
  return changed;
}

/** Changes bytes as well as characters, so that invalid UTF-8 occurs, too. */
function segmentOf(json) {
  const bytes = Buffer.from(mutated(json, jsonPieces));
  if (bytes.length > 0 && random(8) === 0) bytes[random(bytes.length)] = random(256);
  return bytes.toString('base64url');
}

function nextInput() {
  switch (random(4)) {
    case 0:
      return mutated(`${encode(header)}.${encode(claims)}.${signature}`, textPieces);
    case 1:
      return `${segmentOf(header)}.${encode(claims)}.${signature}`;
    case 2:
      return `${encode(header)}.${segmentOf(claims)}.${signature}`;
    default:
      return mutated(`${segmentOf(header)}.${segmentOf(claims)}.${signature}`, textPieces);
  }
}

const key = { kid: 'some-kid', algorithm: 'ES256', jwk: {}, signatureBytes: 64, key: null };
const choices = { ring: createKeyRing([key]), sharedSecret: null, legacyHs256: null };
const profiles = ['access', 'shared-secret', 'legacy'];

/** All steps of a verifier except the signature. */
function evaluate(token) {
  const unverified = checkFormat(token);
  if (!unverified.ok) return unverified.refusal.reason;
  const selected = selectKey(unverified, choices, nowSeconds * 1000);
  const verdicts = profiles.map((profile) =>
    checkClaims(profile, unverified.claims, policy, 'some-kid', nowSeconds),
  );
  if (!selected.ok) return selected.refusal.reason;
  return verdicts[0].ok ? 'accepted' : verdicts[0].refusal.reason;
}

/** The least of several tries of an input that seemed slow, ms. */
function bestOfMore(firstMs, token) {
  let best = firstMs;
  for (let left = tries; left > 0 && best > limitMs.suspect; left--) {
    const fromMs = performance.now();
    evaluate(token);
    best = Math.min(best, performance.now() - fromMs);
  }
  return best;
}

const counts = {};
const faults = [];
const slowest = { ms: 0, input: 0, bytes: 0 };
const startedMs = performance.now();
for (let number = 0; number < inputs; number++) {
  const token = nextInput();
  const fromMs = performance.now();
  let outcome;
  try {
    outcome = evaluate(token);
  } catch (error) {
    outcome = 'exception';
    faults.push({ input: number, error: String(error), token: token.slice(0, 200) });
  }
  const firstMs = performance.now() - fromMs;
  const ms = outcome === 'exception' ? firstMs : bestOfMore(firstMs, token);
  if (ms > slowest.ms) Object.assign(slowest, { ms, input: number, bytes: token.length });
  counts[outcome] = (counts[outcome] ?? 0) + 1;
}
console.log(
  JSON.stringify({
    what: 'fuzz',
    inputs,
    seed: Number(values.seed),
    counts,
    slowest,
    seconds: (performance.now() - startedMs) / 1000,
  }),
);

/** The least of several runs, in microseconds: the cost of the input without other load on the machine. */
function bestMicroseconds(token) {
  let best = Infinity;
  for (let run = 0; run < 30; run++) {
    const fromMs = performance.now();
    for (let times = 0; times < 20; times++) evaluate(token);
    best = Math.min(best, (performance.now() - fromMs) / 20);
  }
  return best * 1000;
}

/** Inputs that make a careless parser quadratic, at a length in characters of the segment. */
const shapes = {
  'plain text': (length) => `{"x":"${'a'.repeat(length)}"}`,
  escapes: (length) => `{"x":"${'\\u0061'.repeat(length / 6)}"}`,
  'open lists': (length) => `{"x":${'['.repeat(length)}`,
  'many members': (length) =>
    `{${Array.from({ length: length / 12 }, (_, index) => `"m${index}":1`).join()}}`,
  'many items': (length) => `{"x":[${'1,'.repeat(length / 2)}1]}`,
  'long number': (length) => `{"x":${'9'.repeat(length)}}`,
  'white space': (length) => `{${' '.repeat(length)}`,
  backslashes: (length) => `{"x":"${'\\\\'.repeat(length / 2)}"}`,
};
let linear = true;
for (const [shape, make] of Object.entries(shapes)) {
  const [short, long] = [700, 5600].map((length) =>
    bestMicroseconds(`${encode(header)}.${encode(make(length))}.${signature}`),
  );
  // Eight times the length; quadratic would be sixty-four times the time.
  const growth = long / short;
  if (growth > 24 || long > limitMs.refusal * 1000) linear = false;
  console.log(
    JSON.stringify({
      what: 'growth',
      shape,
      shortUs: Math.round(short),
      longUs: Math.round(long),
      growth: Number(growth.toFixed(1)),
    }),
  );
}

const megabytes = {
  'one megabyte of A': 'A'.repeat(1_048_576),
  'one megabyte of dots': '.'.repeat(1_048_576),
  'one megabyte beyond ASCII': '\u20ac'.repeat(349_525),
  '8193 bytes': `${encode(header)}.${'A'.repeat(8193)}`,
};
let quick = true;
for (const [shape, token] of Object.entries(megabytes)) {
  const fromMs = performance.now();
  const reason = evaluate(token);
  const ms = bestOfMore(performance.now() - fromMs, token);
  if (reason !== 'TOKEN_TOO_LARGE' || ms > limitMs.megabyte) quick = false;
  console.log(JSON.stringify({ what: 'size', shape, reason, ms: Number(ms.toFixed(3)) }));
}

for (const fault of faults.slice(0, 10)) console.log(JSON.stringify({ what: 'fault', ...fault }));
const passed = faults.length === 0 && slowest.ms <= limitMs.refusal && linear && quick;
console.log(
  JSON.stringify({
    what: 'verdict',
    passed,
    exceptions: faults.length,
    slowestMs: Number(slowest.ms.toFixed(3)),
    linear,
    quick,
  }),
);
process.exitCode = passed ? 0 : 1;
