// Shared by the scenarios that compare servers.
import { sampleRounds } from './pairs.mjs';
import { ratioRow } from './measured-row.mjs';

/**
 * Samples both servers in turns and returns a row of the table.
 *
 * @param {import('./goals.mjs').Row} row
 * @param {{ baseline: () => Promise<Server>, contender: () => Promise<Server> }} each starts a server
 * @param {(server: Server, seconds: number, side: string) => Promise<Sample>} load
 * @param {{ pairs: number, seconds: number, warmUpSeconds: number, quick: boolean }} plan
 */
export async function compareServers(row, start, load, plan) {
  const rounds = await sampleServers(start, load, plan);
  const also = ['throughput', 'cpu'].filter((figure) => figure !== row.judgedBy);
  return ratioRow(row, rounds, plan, { also });
}

/** Samples any number of servers, each in a new process that is warmed up first. */
export function sampleServers(start, load, plan) {
  const sides = Object.entries(start).map(([side, startOne]) => [side, () => sample(side, startOne)]);
  return sampleRounds(Object.fromEntries(sides), plan.pairs);

  async function sample(side, startOne) {
    const server = await startOne();
    try {
      await load(server, plan.warmUpSeconds, side);
      const cpuBefore = server.cpuSeconds?.();
      const result = await load(server, plan.seconds, side);
      return cpuBefore === undefined ? result : { ...result, cpuSeconds: server.cpuSeconds() - cpuBefore };
    } finally {
      await server.stop();
    }
  }
}

/** A longer warm-up for slow calls, hundreds a second instead of thousands: the number of calls is what warms up the code. */
export function longWarmUp(plan) {
  return { ...plan, warmUpSeconds: 2 * plan.warmUpSeconds };
}
