import { benchServer, startMeasured } from '../measured-process.mjs';
import { callersLoad } from '../load/callers.mjs';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import {
  audience,
  issuer,
  openTokenFixture,
  VERIFY,
  verifyAnswer,
  verifyMessage,
} from '../token-fixture.mjs';

const CALLERS = 100;
/** More than a core verifies in a sample. If they run out, the sample ends early. */
const TOKENS_A_SECOND = 14_000;

/** Every call has a token that is new to the server, with the cache at its usual size. */
export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const service = await fixture.serve();
    const answer = await verifyAnswer(service.grpc, fixture.token).finally(() => service.stop());
    const tokens = await fixture.mint(Math.ceil(TOKENS_A_SECOND * (plan.seconds + plan.warmUpSeconds)));
    const messages = tokens.map(verifyMessage);
    const jose = [
      benchServer('bare-jose'),
      VERIFY,
      answer.toString('base64'),
      fixture.jwks,
      issuer,
      audience,
    ];
    const start = { baseline: () => startMeasured(jose), contender: () => fixture.serve() };
    // The servers are new processes, so that the same tokens are new to each of them.
    const places = new WeakMap();
    const load = (server, seconds) => {
      const next = () => {
        const place = places.get(server) ?? 0;
        places.set(server, place + 1);
        return messages[place] ?? null;
      };
      return callersLoad({ address: server.grpc, path: VERIFY, callers: CALLERS, seconds, next });
    };
    return [await compareServers(rowOf('verify-first-sight'), start, load, plan)];
  } finally {
    await fixture.stop();
  }
}
