import { bareHashing } from '../bare-hashing.mjs';
import { sampleServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { callersLoad } from '../load/callers.mjs';
import { ratioRow } from '../measured-row.mjs';
import { hashThreads, openFixtureWithUsers } from '../user-fixture.mjs';
import { spread } from '../pairs.mjs';
import { LOGIN, loginMessage } from '../token-fixture.mjs';

/** The threads of the baseline run in this process, which is otherwise idle. */
export async function run(plan) {
  const fixture = await openFixtureWithUsers();
  const bare = bareHashing(hashThreads);
  try {
    const messages = fixture.emails.map(loginMessage);
    const start = {
      baseline: () => ({ stop: () => undefined }),
      contender: () => fixture.serve({ pinned: false }),
    };
    const load = ({ grpc }, seconds, side) => {
      if (side === 'baseline') return bare.hash(seconds);
      const next = (person) => messages[person];
      return callersLoad({ address: grpc, path: LOGIN, callers: messages.length, seconds, next });
    };
    const rounds = await sampleServers(start, load, plan);
    const row = ratioRow(rowOf('login', 'login-share'), rounds, plan);
    row.also['logins per second'] = spread(
      rounds.map(({ contender }) => contender.calls / contender.seconds),
    );
    return [row];
  } finally {
    await bare.stop();
    await fixture.stop();
  }
}
