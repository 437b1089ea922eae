// The footprint of a process: its start time, compared with a bare node, and its memory after many calls.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { callersLoad } from './load/callers.mjs';
import { figureRow } from './measured-row.mjs';
import { sampleRounds, spread } from './pairs.mjs';
import { VERIFY, verifyMessage } from './token-fixture.mjs';

const CALLS = 5_000;
const CALLERS = 20;
const MAX_SECONDS = 60;

/**
 * @param {{ start: import('./goals.mjs').Row, memory: import('./goals.mjs').Row }} rows
 * @param {() => Promise<Server>} startOne starts a new process, not pinned to a core
 * @param {{ tokens: string[], andThen?: (server: Server) => Promise<void> }} work the tokens that the calls
 *   carry in turn, and further work before the memory is read
 */
export async function footprintRows(rows, startOne, { tokens, andThen }, plan) {
  const messages = tokens.map(verifyMessage);
  const contender = async () => {
    const server = await startOne();
    try {
      const idleMb = server.memory().nowMb;
      let sent = 0;
      const next = () => (sent < CALLS ? messages[sent++ % messages.length] : null);
      const load = { address: server.grpc, path: VERIFY, callers: CALLERS, seconds: MAX_SECONDS, next };
      const { calls } = await callersLoad(load);
      if (calls < CALLS) throw new Error(`only ${calls} calls were answered in ${MAX_SECONDS} s`);
      await andThen?.(server);
      return { startMs: server.listeningMs, idleMb, afterMb: server.memory().nowMb };
    } finally {
      await server.stop();
    }
  };
  const rounds = await sampleRounds({ bareNode, contender }, plan.pairs);
  const all = (side, name) => rounds.map((round) => round[side][name]);
  return [
    figureRow(rows.start, all('contender', 'startMs'), plan, {
      'a bare `node -e 0`': spread(all('bareNode', 'startMs')),
    }),
    figureRow(rows.memory, all('contender', 'afterMb'), plan, {
      'before the calls': spread(all('contender', 'idleMb')),
    }),
  ];
}

async function bareNode() {
  const startMs = performance.now();
  await once(spawn(process.execPath, ['-e', '0'], { stdio: 'ignore' }), 'exit');
  return { startMs: performance.now() - startMs };
}
