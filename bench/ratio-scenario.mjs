// What the scenarios that hold two servers against each other have in common.
import { ratiosOf, samplePairs, verdictOf } from './pairs.mjs';

/**
 * Samples both in turns and makes a row of the table.
 *
 * @param {{ id: string, title: string, beside: string, goal: { atLeast: number } | null, judgedBy: 'cpu' | 'throughput' }} row
 * @param {{ baseline: () => Promise<Server>, contender: () => Promise<Server> }} start a server each
 * @param {(server: Server, seconds: number, side: string) => Promise<{ calls: number, seconds: number }>} load
 * @param {{ pairs: number, seconds: number, warmUpSeconds: number, quick: boolean }} plan
 */
export async function compareServers(row, start, load, plan) {
  const sampleOf = (side) => async () => {
    const server = await start[side]();
    try {
      await load(server, plan.warmUpSeconds, side);
      const cpuBefore = server.cpuSeconds();
      const done = await load(server, plan.seconds, side);
      return { ...done, cpuSeconds: server.cpuSeconds() - cpuBefore };
    } finally {
      await server.stop();
    }
  };
  const rounds = await samplePairs({
    baseline: sampleOf('baseline'),
    contender: sampleOf('contender'),
    pairs: plan.pairs,
  });
  return rowOf(row, rounds, plan);
}

export function rowOf(row, rounds, { quick }) {
  const ratios = ratiosOf(rounds);
  const verdict =
    row.goal === null ? 'none' : quick ? 'no verdict' : verdictOf(ratios[row.judgedBy], row.goal);
  return { ...row, kind: 'ratio', ...ratios, verdict, rounds };
}
