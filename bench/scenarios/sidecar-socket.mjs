import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { h2load } from '../load/h2load.mjs';
import { benchServer, startMeasured } from '../measured-process.mjs';
import { spread } from '../pairs.mjs';
import { withTrustServer } from '../sidecar-fixture.mjs';
import { VERIFY, verifyAnswer, verifyMessage } from '../token-fixture.mjs';

export function run(plan) {
  return withTrustServer(async ({ fixture, nextSocket, startSidecar }) => {
    const [token] = await fixture.issue(1);
    const first = await startSidecar();
    const answer = await verifyAnswer(first.grpc, token).finally(() => first.stop());
    const bare = [benchServer('bare'), VERIFY, answer.toString('base64')];
    const start = {
      baseline: () => startMeasured([...bare, nextSocket()]),
      contender: () => startSidecar(),
    };
    const message = verifyMessage(token);
    const load = ({ grpc }, seconds) =>
      h2load({ address: grpc, path: VERIFY, message, seconds, answerBytes: answer.length });
    const row = await compareServers(rowOf('sidecar-socket'), start, load, plan);
    row.also['calls per second'] = spread(
      row.rounds.map(({ contender }) => contender.calls / contender.seconds),
    );
    return [row];
  });
}
