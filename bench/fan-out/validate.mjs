// Holds the simulation against real processes.
import { seededRandom } from './random.mjs';
import { simulate } from './simulate.mjs';
import { makeTree } from './tree.mjs';
import { loadAverage, measureChanges, quantile, withWatchers } from './watched-processes.mjs';

const APART_MS = 400;
const CHANGES = 20;
const PER_SECOND = 100;
const SEED = 1;

/** What one machine can hold; `watchers` at the last process. */
const SHAPES = [
  { title: '100 at one process', relays: 0, watchers: 100 },
  { title: '1,000 at one process', relays: 0, watchers: 1_000 },
  { title: '1,000 at one relay', relays: 1, watchers: 1_000 },
];

export async function validate(constants) {
  const points = [];
  for (const shape of SHAPES) {
    try {
      points.push(...(await measureShape(shape, constants)));
    } catch (error) {
      points.push({ title: shape.title, failed: error.message });
    }
  }
  return { about: constants.about, loadAverage: loadAverage(), points };
}

async function measureShape({ title, relays, watchers }, constants) {
  const random = seededRandom(SEED);
  const workloads = {
    'one change at a time': new Array(CHANGES).fill(APART_MS),
    [`${PER_SECOND} changes/s`]: Array.from({ length: 2 * CHANGES }, () =>
      random.exponential(PER_SECOND / 1_000),
    ),
  };
  return withWatchers({ relays, watchers, revocations: 0 }, async (processes) => {
    const points = [];
    for (const [workload, pausesMs] of Object.entries(workloads)) {
      await measureChanges(processes, pausesMs.slice(0, 10));
      const { delaysMs, server, watchers: load } = await measureChanges(processes, pausesMs);
      points.push({
        title,
        workload,
        measured: threeOf((share) => quantile(delaysMs, share)),
        simulated: simulated({ relays, watchers, pausesMs }, constants),
        // The kernel counts how long each process waited for a core; a busy machine makes all of its work so much longer.
        stretched: simulated({ relays, watchers, pausesMs }, stretchedBy(constants, server, load)),
        stretch: { server: server.stretch, watchers: load.stretch },
        loadAverage: loadAverage(),
      });
    }
    return points;
  });
}

function stretchedBy(constants, server, watchers) {
  const names = ['makeMs', 'flushMs', 'receiveMs', 'applyMs'];
  const own = Object.fromEntries(names.map((name) => [name, constants[name] * server.stretch]));
  return { ...constants, ...own, watcherMs: constants.watcherMs * watchers.stretch };
}

/** The same on one machine without PostgreSQL: the links take no time, and the watchers share a thread. */
export function simulated({ relays, watchers, pausesMs }, constants) {
  const random = seededRandom(SEED);
  const tree = makeTree(relays > 0 ? [relays, watchers] : [watchers], random);
  const commitsMs = [];
  let nowMs = 0;
  for (const pauseMs of pausesMs) commitsMs.push((nowMs += pauseMs));
  const { delays } = simulate(tree, {
    constants: { ...constants, receiverMs: constants.watcherMs },
    random,
    commitsMs,
    untilMs: nowMs + 10_000,
    feed: false,
    isOneMachine: true,
  });
  return threeOf((share) => delays.quantile(share));
}

function threeOf(at) {
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
