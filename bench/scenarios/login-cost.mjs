import { bareHashing } from '../bare-hashing.mjs';
import { sampleServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { callersLoad } from '../load/callers.mjs';
import { figureRow } from '../measured-row.mjs';
import { startPostgresCpu } from '../postgres-cpu.mjs';
import { LOGIN, loginMessage } from '../token-fixture.mjs';
import { hashThreads, openFixtureWithUsers } from '../user-fixture.mjs';
import { spread } from '../pairs.mjs';

/** In a service that has run for a while the code of a login is compiled, which takes some hundred logins. */
const WARM_UP_TIMES = 7;
/** Some thirty logins a second are few for a figure. */
const SAMPLE_TIMES = 3;

/**
 * What a login costs beside its hash: the CPU time of the service, less that of one bare hash, which is measured in the same
 * round, and the CPU time of PostgreSQL.
 */
export async function run(plan) {
  const fixture = await openFixtureWithUsers();
  const bare = bareHashing(hashThreads);
  try {
    const messages = fixture.emails.map(loginMessage);
    const start = { baseline: () => ({ stop: () => undefined }), contender: () => fixture.serve() };
    const load = async ({ grpc }, seconds, side) => {
      if (side !== 'contender') return hashes(bare, seconds);
      const postgresSeconds = startPostgresCpu(fixture.dataDir);
      const next = (person) => messages[person];
      const callers = messages.length;
      const logins = await callersLoad({ address: grpc, path: LOGIN, callers, seconds, next });
      return { ...logins, postgresSeconds: postgresSeconds() };
    };
    const longer = {
      ...plan,
      warmUpSeconds: (plan.quick ? 1 : WARM_UP_TIMES) * plan.warmUpSeconds,
      seconds: (plan.quick ? 1 : SAMPLE_TIMES) * plan.seconds,
    };
    const rounds = await sampleServers(start, load, longer);
    const hashMs = (round) => (msOf(round.baseline) + msOf(round.control)) / 2;
    const also = {
      'bare hash, ms': spread(rounds.map(hashMs)),
      'second bare hash by the first': spread(
        rounds.map(({ baseline, control }) => msOf(control) / msOf(baseline)),
      ),
    };
    const service = rounds.map((round) => msOf(round.contender) - hashMs(round));
    const postgres = rounds.map(({ contender }) => (1_000 * contender.postgresSeconds) / contender.calls);
    return [
      figureRow(rowOf('login-cost', 'login-service-cpu'), service, plan, also),
      figureRow(rowOf('login-cost', 'login-postgres-cpu'), postgres, plan),
    ];
  } finally {
    await bare.stop();
    await fixture.stop();
  }
}

async function hashes(bare, seconds) {
  const before = process.cpuUsage();
  const result = await bare.hash(seconds);
  const { user, system } = process.cpuUsage(before);
  return { ...result, cpuSeconds: (user + system) / 1e6 };
}

const msOf = ({ cpuSeconds, calls }) => (1_000 * cpuSeconds) / calls;
