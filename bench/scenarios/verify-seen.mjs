import { benchServer, startMeasured } from '../measured-process.mjs';
import { h2load } from '../load/h2load.mjs';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { openTokenFixture, VERIFY, verifyAnswer, verifyMessage } from '../token-fixture.mjs';

/** One token repeatedly, as in most calls of a busy user. */
export async function run(plan) {
  const fixture = await openTokenFixture();
  try {
    const service = await fixture.serve();
    const answer = await verifyAnswer(service.grpc, fixture.token).finally(() => service.stop());
    const message = verifyMessage(fixture.token);
    const start = {
      baseline: () => startMeasured([benchServer('bare'), VERIFY, answer.toString('base64')]),
      contender: () => fixture.serve(),
    };
    const load = ({ grpc }, seconds) =>
      h2load({ address: grpc, path: VERIFY, message, seconds, answerBytes: answer.length });
    return [await compareServers(rowOf('verify-seen'), start, load, plan)];
  } finally {
    await fixture.stop();
  }
}
