import { benchServer, startMeasured } from '../measured-process.mjs';
import { h2load } from '../load/h2load.mjs';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { openTokenHouse, VERIFY, verifyAnswer, verifyMessage } from '../token-fixture.mjs';

/** One token over and over, as most calls of a service in front of a busy user are. */
export async function run(plan) {
  const house = await openTokenHouse();
  try {
    const service = await house.serve();
    const answer = await verifyAnswer(service.grpc, house.token).finally(() => service.stop());
    const message = verifyMessage(house.token);
    const start = {
      baseline: () => startMeasured([benchServer('bare'), VERIFY, answer.toString('base64')]),
      contender: () => house.serve(),
    };
    const load = ({ grpc }, seconds) =>
      h2load({ address: grpc, path: VERIFY, message, seconds, answerBytes: answer.length });
    return [await compareServers(rowOf('verify-seen'), start, load, plan)];
  } finally {
    await house.stop();
  }
}
