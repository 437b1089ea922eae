// What the scenarios that hold servers against each other have in common.
import { sampleRounds } from './pairs.mjs';
import { ratioRow } from './measured-row.mjs';

/**
 * Samples both in turns and makes a row of the table.
 *
 * @param {import('./goals.mjs').Row} row
 * @param {{ baseline: () => Promise<Server>, contender: () => Promise<Server> }} start a server each
 * @param {(server: Server, seconds: number, side: string) => Promise<Sample>} load
 * @param {{ pairs: number, seconds: number, warmUpSeconds: number, quick: boolean }} plan
 */
export async function compareServers(row, start, load, plan) {
  const rounds = await sampleServers(start, load, plan);
  const also = ['throughput', 'cpu'].filter((figure) => figure !== row.judgedBy);
  return ratioRow(row, rounds, plan, { also });
}

/** Samples any number of servers, each as a fresh process that is warmed up first. */
export function sampleServers(start, load, plan) {
  const sides = Object.entries(start).map(([side, startOne]) => [side, () => sample(side, startOne)]);
  return sampleRounds(Object.fromEntries(sides), plan.pairs);

  async function sample(side, startOne) {
    const server = await startOne();
    try {
      await load(server, plan.warmUpSeconds, side);
      const cpuBefore = server.cpuSeconds?.();
      const done = await load(server, plan.seconds, side);
      return cpuBefore === undefined ? done : { ...done, cpuSeconds: server.cpuSeconds() - cpuBefore };
    } finally {
      await server.stop();
    }
  }
}

/** The plan for calls of which a second brings hundreds, not thousands: it is their number that makes code warm. */
export function longWarmUp(plan) {
  return { ...plan, warmUpSeconds: 2 * plan.warmUpSeconds };
}
