import { jwtVerify } from 'jose';
import { createVerifier } from '../../dist/client/postern-client.js';
import { rowOf } from '../goals.mjs';
import { figureRow, ratioRow } from '../measured-row.mjs';
import { sampleRounds, spread } from '../pairs.mjs';
import { trustFixture } from '../trust-fixture.mjs';

const REVOCATIONS = 10_000;
/** More than the first-level cache of the processor holds. */
const KNOWN_TOKENS = 1_000;
/** New tokens per second of a sample. */
const NEW_TOKENS = 500;
const ROLES = 2;

/**
 * A verifier in this process, with a trust stream from this process. Rates are per CPU time of the whole process on one core,
 * including the threads of its pool and the stream.
 */
export async function run(plan) {
  const fixture = await trustFixture(REVOCATIONS);
  const verifier = createVerifier({ trust: { upstream: { address: fixture.address } } });
  try {
    if (!(await verifier.ready(10_000))) throw new Error('the verifier did not become ready');
    return [...(await seenBefore(fixture, verifier, plan)), await firstSight(fixture, verifier, plan)];
  } finally {
    verifier.close();
    await fixture.stop();
  }
}

async function seenBefore(fixture, verifier, plan) {
  const known = await fixture.issue(KNOWN_TOKENS);
  for (const token of known) await verifier.verify(token);
  const bytes = known.map((token) => Buffer.from(token));
  const judge = (token) => {
    if (verifier.verify(token).roles.length !== ROLES) throw new Error('another token');
  };
  const sides = {
    making: (index) => bytes[index].latin1Slice(),
    newText: (index) => judge(bytes[index].latin1Slice()),
    sameText: (index) => judge(known[index]),
  };
  const sampleOf = (act) => () =>
    timed(() => {
      const endMs = performance.now() + plan.seconds * 1_000;
      let calls = 0;
      for (; performance.now() < endMs; calls += KNOWN_TOKENS) {
        for (let index = 0; index < KNOWN_TOKENS; index++) act(index);
      }
      return calls;
    });
  const samples = Object.fromEntries(Object.entries(sides).map(([side, act]) => [side, sampleOf(act)]));
  await samples.newText();
  const rounds = await sampleRounds(samples, plan.pairs);

  const rate = ({ calls, cpuSeconds }) => calls / cpuSeconds;
  const judging = rounds.map(({ making, newText }) => 1 / (1 / rate(newText) - 1 / rate(making)));
  const withMaking = spread(rounds.map(({ newText }) => rate(newText)));
  return [
    figureRow(rowOf('verifier', 'verifier-new-text'), judging, plan, {
      'including the string': withMaking,
    }),
    figureRow(
      rowOf('verifier', 'verifier-same-text'),
      rounds.map(({ sameText }) => rate(sameText)),
      plan,
    ),
  ];
}

async function firstSight(fixture, verifier, plan) {
  const { issuer, audiences } = fixture.policy;
  const rules = { issuer, audience: audiences, algorithms: ['ES256'], typ: 'at+jwt' };
  const sampleOf = (verifyOne) => async () => {
    const tokens = await fixture.issue(Math.ceil(NEW_TOKENS * plan.seconds));
    return timed(async () => {
      for (const token of tokens) await verifyOne(token);
      return tokens.length;
    });
  };
  const sides = {
    baseline: sampleOf((token) => jwtVerify(token, fixture.publicKey, rules)),
    contender: sampleOf((token) => verifier.verify(token)),
  };
  await sampleRounds(sides, 1, () => undefined);
  const rounds = await sampleRounds(sides, plan.pairs);
  return ratioRow(rowOf('verifier', 'verifier-first-sight'), rounds, plan, { also: ['throughput'] });
}

/** Measures a function that returns how many calls it made. */
async function timed(act) {
  const [cpu, startMs] = [process.cpuUsage(), performance.now()];
  const calls = await act();
  const { user, system } = process.cpuUsage(cpu);
  return { calls, seconds: (performance.now() - startMs) / 1_000, cpuSeconds: (user + system) / 1e6 };
}
