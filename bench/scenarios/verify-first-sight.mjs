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
/** More than a core verifies in a sample; if they run out, the sample ends before its time. */
const TOKENS_A_SECOND = 14_000;

/** Every call brings a token that its server has not seen, the cache being as large as ever. */
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
    // The servers are fresh processes, so each of them may see the same tokens for the first time.
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
