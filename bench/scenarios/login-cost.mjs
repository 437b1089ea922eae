import { randomInt } from 'node:crypto';
import { bareHashing } from '../bare-hashing.mjs';
import { rowOf } from '../goals.mjs';
import { callersLoad } from '../load/callers.mjs';
import { figureRow } from '../measured-row.mjs';
import { openPostgresCpu } from '../postgres-cpu.mjs';
import { LOGIN, loginMessage } from '../token-fixture.mjs';
import { hashThreads, openFixtureWithUsers } from '../user-fixture.mjs';
import { sampleRounds, spread } from '../pairs.mjs';

/** The code of a login is compiled after some hundred of them, and a service that runs for hours has that behind it. */
const WARM_UP_SECONDS = 30;
/** So many that no user has hundreds of sessions, of which each login would read some. */
const USERS = 400;
const CALLERS = 4;
/** Some thirty logins a second are few for a figure. */
const SAMPLE_TIMES = 3;

/**
 * What a login costs beside its hash: the CPU time of the service, less that of one bare hash, which is measured in the same
 * round, and the CPU time of PostgreSQL. One service serves all rounds.
 */
export async function run(plan) {
  const fixture = await openFixtureWithUsers();
  const bare = bareHashing(hashThreads);
  const postgresSeconds = await openPostgresCpu(fixture);
  try {
    const messages = (await addUsersLike(fixture, fixture.emails[0])).map(loginMessage);
    const service = await fixture.serve();
    const logIn = async (seconds) => {
      const before = { service: service.cpuSeconds(), postgres: postgresSeconds() };
      const next = () => messages[randomInt(messages.length)];
      const load = { address: service.grpc, path: LOGIN, callers: CALLERS, seconds, next };
      const logins = await callersLoad(load);
      return {
        ...logins,
        cpuSeconds: service.cpuSeconds() - before.service,
        postgresSeconds: postgresSeconds() - before.postgres,
      };
    };
    await logIn(plan.quick ? plan.warmUpSeconds : WARM_UP_SECONDS);
    await hashes(bare, plan.warmUpSeconds);
    const sides = {
      baseline: () => hashes(bare, plan.seconds),
      contender: () => logIn((plan.quick ? 1 : SAMPLE_TIMES) * plan.seconds),
    };
    const rounds = await sampleRounds(sides, plan.pairs);
    await service.stop();
    const hashMs = (round) => (msOf(round.baseline) + msOf(round.control)) / 2;
    const also = {
      'bare hash, ms': spread(rounds.map(hashMs)),
      'second bare hash by the first': spread(
        rounds.map(({ baseline, control }) => msOf(control) / msOf(baseline)),
      ),
    };
    const beyondHash = rounds.map((round) => msOf(round.contender) - hashMs(round));
    const postgres = rounds.map(({ contender }) => (1_000 * contender.postgresSeconds) / contender.calls);
    return [
      figureRow(rowOf('login-cost', 'login-service-cpu'), beyondHash, plan, also),
      figureRow(rowOf('login-cost', 'login-postgres-cpu'), postgres, plan),
    ];
  } finally {
    await bare.stop();
    await fixture.stop();
  }
}

/** Users with the same hash, which would otherwise take a while to make. Returns their e-mails. */
async function addUsersLike(fixture, email) {
  const rows = await fixture.query(
    `INSERT INTO users (id, email, password_hash)
     SELECT gen_random_uuid(), 'like' || n || '@example.com', password_hash
     FROM users, generate_series(1, $2::int) AS n WHERE email = $1 RETURNING email`,
    [email, USERS],
  );
  return rows.map((row) => row.email);
}

async function hashes(bare, seconds) {
  const before = process.cpuUsage();
  const result = await bare.hash(seconds);
  const { user, system } = process.cpuUsage(before);
  return { ...result, cpuSeconds: (user + system) / 1e6 };
}

const msOf = ({ cpuSeconds, calls }) => (1_000 * cpuSeconds) / calls;
