import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compareServers } from '../compare-servers.mjs';
import { rowOf } from '../goals.mjs';
import { h2load } from '../load/h2load.mjs';
import { benchServer, startMeasured } from '../measured-process.mjs';
import { spread } from '../pairs.mjs';
import { startSidecar } from '../sidecar.mjs';
import { VERIFY, verifyAnswer, verifyMessage } from '../token-house.mjs';
import { trustHouse } from '../trust-house.mjs';

const REVOCATIONS = 1_000;

/** The centre is this process, on the load's core, and has nothing to do meanwhile. */
export async function run(plan) {
  const folder = mkdtempSync(join(tmpdir(), 'postern-sockets-'));
  const house = await trustHouse(REVOCATIONS);
  let sockets = 0;
  const nextSocket = () => `unix:${folder}/${String(sockets++)}`;
  try {
    const sidecar = () => startSidecar(house.address, nextSocket());
    const [token] = await house.issue(1);
    const first = await sidecar();
    const answer = await verifyAnswer(first.grpc, token).finally(() => first.stop());
    const bare = [benchServer('bare'), VERIFY, answer.toString('base64')];
    const start = { baseline: () => startMeasured([...bare, nextSocket()]), contender: sidecar };
    const message = verifyMessage(token);
    const load = ({ grpc }, seconds) =>
      h2load({ address: grpc, path: VERIFY, message, seconds, answerBytes: answer.length });
    const row = await compareServers(rowOf('sidecar-socket'), start, load, plan);
    row.also['calls a second'] = spread(
      row.rounds.map(({ contender }) => contender.calls / contender.seconds),
    );
    return [row];
  } finally {
    await house.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
