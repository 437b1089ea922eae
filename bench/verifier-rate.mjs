// How many tokens a verifier inside a service judges in a second on one core, beside jose alone in the same run.
// node bench/verifier-rate.mjs [--seconds 2] [--tokens 1000] [--revocations 10000] [--rounds 12] [--json]  (after `npm run build`)
// `warm`: tokens seen before, as the same text object and as a new one each time, which is what a request's header is.
// `cold`: every token for the first time, in turns with jose's jwtVerify of as many others; the ratio is the median of the rounds'.
// Rates are by CPU time of the whole process, its pool threads and the stream that feeds the verifier included.
// Exits with 1 below 1,000,000 warm verifications a second, or above 1.2 times jose's time at first sight.
import { randomBytes, randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { jwtVerify } from 'jose';
import { createVerifier } from '../dist/client/postern-client.js';
import { createTokenId, signAccessToken } from '../dist/tokens/sign-access-token.js';
import { trustHouse } from './trust-house.mjs';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    tokens: { type: 'string', default: '1000' },
    revocations: { type: 'string', default: '10000' },
    rounds: { type: 'string', default: '12' },
    json: { type: 'boolean', default: false },
  },
});
const seconds = Number(values.seconds);
const tokenCount = Number(values.tokens);
const rounds = Number(values.rounds);
const goals = { warmPerSecond: 1_000_000, coldRatio: 1.2 };
const ROUND_TOKENS = 500;

const house = await trustHouse(Number(values.revocations));
const verifier = createVerifier({ trust: { upstream: { address: house.address } } });
if (!(await verifier.ready(10_000))) throw new Error('the verifier did not become ready');

const issue = () =>
  signAccessToken(house.signer, {
    issuer: house.policy.issuer,
    audience: house.policy.audiences[0],
    subject: randomUUID(),
    sessionId: randomUUID(),
    clientId: 'postern',
    roles: ['reader', 'editor'],
    tokenId: createTokenId(randomBytes(16)),
    issuedAtSeconds: Math.floor(Date.now() / 1000),
    lifetimeSeconds: 600,
  });
const issueMany = async (count) => {
  const tokens = [];
  while (tokens.length < count) tokens.push(await issue());
  // As from a request's header: one flat text, not the pieces that a signer joined.
  return tokens.map((token) => Buffer.from(token).toString('latin1'));
};

/** CPU seconds and seconds that an act took. */
async function timed(act) {
  const [cpu, startMs] = [process.cpuUsage(), performance.now()];
  const count = await act();
  const { user, system } = process.cpuUsage(cpu);
  return { count, cpuSeconds: (user + system) / 1e6, wallSeconds: (performance.now() - startMs) / 1000 };
}

/** Verifies known tokens for a while. @param textOf gives the text of a token as a request would bring it */
function warm(textOf) {
  return timed(() => {
    const endMs = performance.now() + seconds * 1000;
    let count = 0;
    while (performance.now() < endMs) {
      for (let index = 0; index < tokenCount; index++) {
        if (verifier.verify(textOf(index)).roles.length !== 2) throw new Error('another token');
      }
      count += tokenCount;
    }
    return count;
  });
}

async function coldRound(verifyOne) {
  const tokens = await issueMany(ROUND_TOKENS);
  return timed(async () => {
    for (const token of tokens) await verifyOne(token);
    return tokens.length;
  });
}

const key = house.publicKey;
const { issuer, audiences } = house.policy;
const byJose = (token) =>
  jwtVerify(token, key, { issuer, audience: audiences, algorithms: ['ES256'], typ: 'at+jwt' });

try {
  const known = await issueMany(tokenCount);
  for (const token of known) await verifier.verify(token);
  const bytes = known.map((token) => Buffer.from(token));
  const making = await timed(() => {
    const endMs = performance.now() + seconds * 1000;
    let count = 0;
    while (performance.now() < endMs) {
      for (let index = 0; index < tokenCount; index++) bytes[index].latin1Slice();
      count += tokenCount;
    }
    return count;
  });
  await warm((index) => known[index]);
  const same = await warm((index) => known[index]);
  const fresh = await warm((index) => bytes[index].latin1Slice());

  const [ours, joses] = [[], []];
  for (let round = -2; round < rounds; round++) {
    // In turns, and each first in half of the rounds: the machine may be busier at one moment than at another.
    const runOurs = async () => ours.push(await coldRound((token) => verifier.verify(token)));
    const runJose = async () => joses.push(await coldRound(byJose));
    for (const run of round % 2 === 0 ? [runOurs, runJose] : [runJose, runOurs]) await run();
    // Two rounds to warm up.
    if (round < 0) [ours.length, joses.length] = [0, 0];
  }
  const medianOf = (numbers) => numbers.toSorted((one, other) => one - other)[Math.floor(numbers.length / 2)];
  const ratioBy = (time) => medianOf(ours.map((ownRound, round) => ownRound[time] / joses[round][time]));
  const perSecond = ({ count, cpuSeconds }) => Math.round(count / cpuSeconds);
  const microseconds = (all, time) => round2(medianOf(all.map((one) => (one[time] / one.count) * 1e6)));
  const report = {
    warm_same_text_per_cpu_second: perSecond(same),
    warm_new_text_per_cpu_second: Math.round(
      1 / (fresh.cpuSeconds / fresh.count - making.cpuSeconds / making.count),
    ),
    cold_cpu_us: microseconds(ours, 'cpuSeconds'),
    jose_cpu_us: microseconds(joses, 'cpuSeconds'),
    cold_wall_us: microseconds(ours, 'wallSeconds'),
    jose_wall_us: microseconds(joses, 'wallSeconds'),
    cold_to_jose_cpu: round2(ratioBy('cpuSeconds')),
    cold_to_jose_wall: round2(ratioBy('wallSeconds')),
    revocations: verifier.state().revocations,
  };
  if (values.json) console.log(JSON.stringify(report));
  else for (const [name, value] of Object.entries(report)) console.log(name.padEnd(32), value);
  const met =
    report.warm_same_text_per_cpu_second >= goals.warmPerSecond && report.cold_to_jose_cpu <= goals.coldRatio;
  process.exitCode = met ? 0 : 1;
} finally {
  verifier.close();
  await house.stop();
}

function round2(value) {
  return Math.round(value * 100) / 100;
}
