import { benchServer, startMeasured } from '../measured-process.mjs';
import { h2load } from '../load/h2load.mjs';
import { compareServers } from '../ratio-scenario.mjs';
import { openTokenHouse, VERIFY, verifyAnswer, verifyMessage } from '../token-house.mjs';

export const needsH2load = true;

/** One token over and over, as most calls of a service in front of a busy user are. */
export async function run(plan) {
  const house = await openTokenHouse();
  try {
    const service = await house.serve();
    const answer = await verifyAnswer(service.grpc, house.token).finally(() => service.stop());
    const message = verifyMessage(house.token);
    const row = {
      id: 'verify-seen',
      title: 'VerifyToken, seen before',
      beside: 'a bare grpc-js handler that returns the same bytes',
      goal: { atLeast: 0.9 },
      judgedBy: 'cpu',
    };
    const start = {
      baseline: () => startMeasured([benchServer('bare'), VERIFY, answer.toString('base64')]),
      contender: () => house.serve(),
    };
    const load = ({ grpc }, seconds) =>
      h2load({ address: grpc, path: VERIFY, message, seconds, answerBytes: answer.length });
    return [await compareServers(row, start, load, plan)];
  } finally {
    await house.stop();
  }
}
