// What a verification costs by each way: the CPU time of the process that verifies, and its memory.
import { randomUUID } from 'node:crypto';
import { callersLoad } from '../load/callers.mjs';
import { h2load } from '../load/h2load.mjs';
import { postern } from '../measured-process.mjs';
import { spread } from '../pairs.mjs';
import { run as runVerifier } from '../scenarios/verifier.mjs';
import { openTokenFixture, startReady, VERIFY, verifyAnswer, verifyMessage } from '../token-fixture.mjs';

const CALLERS = 32;
/** More than a sample at full speed uses up. */
const NEW_TOKENS_A_SECOND = 4_000;

/** @returns CPU milliseconds of one verification, by way, and the memory of the two processes */
export async function measureVerifiers(plan) {
  const fixture = await openTokenFixture();
  const account = await fixture.addServiceAccount(`sidecar-${randomUUID()}`);
  const service = await fixture.serve();
  const sidecar = await startReady([postern, 'sidecar', '--upstream', service.grpc], {
    environment: {
      POSTERN_GRPC_LISTEN: '127.0.0.1:0',
      POSTERN_HTTP_LISTEN: '127.0.0.1:0',
      POSTERN_CLIENT_ID: account.clientId,
      POSTERN_CLIENT_SECRET: account.clientSecret,
    },
  });
  try {
    const idleMb = sidecar.memory().nowMb;
    const ways = {
      service: await known(service, fixture.token, plan),
      'service, new token': await firstSight(service, fixture, plan),
      sidecar: await known(sidecar, fixture.token, plan),
      'sidecar, new token': await firstSight(sidecar, fixture, plan),
    };
    const memory = {
      sidecarIdleMb: idleMb,
      sidecarMb: sidecar.memory().peakMb,
      serviceMb: service.memory().peakMb,
    };
    const rows = await runVerifier({ quick: plan.quick, pairs: plan.samples, seconds: 1 });
    const seen = rows.find(({ id }) => id === 'verifier-new-text').measured;
    const first = rows.find(({ id }) => id === 'verifier-first-sight').rounds;
    ways['in process'] = {
      median: 1_000 / seen.median,
      low: 1_000 / seen.high,
      high: 1_000 / seen.low,
    };
    ways['in process, new token'] = msOf(first.map(({ contender }) => contender));
    return { ways, ...memory };
  } finally {
    await sidecar.stop();
    await service.stop();
    await fixture.stop();
  }
}

/** One token again and again: it is in the cache. */
async function known(server, token, plan) {
  const answer = await verifyAnswer(server.grpc, token);
  const message = verifyMessage(token);
  const load = (seconds) =>
    h2load({ address: server.grpc, path: VERIFY, message, seconds, answerBytes: answer.length });
  await load(Math.min(2, plan.warmUpSeconds));
  return msOf(await samplesOf(plan, () => costOf(server, () => load(plan.seconds / 2))));
}

/** Every token once: its signature is verified. */
async function firstSight(server, fixture, plan) {
  const sample = async () => {
    const tokens = await fixture.mint(Math.ceil(NEW_TOKENS_A_SECOND * (plan.seconds / 2)));
    const messages = tokens.map(verifyMessage);
    return costOf(server, () =>
      callersLoad({
        address: server.grpc,
        path: VERIFY,
        callers: CALLERS,
        seconds: plan.seconds / 2,
        next: () => messages.pop() ?? null,
      }),
    );
  };
  await sample();
  return msOf(await samplesOf(plan, sample));
}

async function costOf(server, load) {
  const before = server.cpuSeconds();
  const { calls } = await load();
  return { calls, cpuSeconds: server.cpuSeconds() - before };
}

async function samplesOf(plan, sample) {
  const samples = [];
  while (samples.length < plan.samples) samples.push(await sample());
  return samples;
}

function msOf(samples) {
  return spread(samples.map(({ calls, cpuSeconds }) => (1_000 * cpuSeconds) / calls));
}
