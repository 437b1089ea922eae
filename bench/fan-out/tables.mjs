import { seededRandom } from './random.mjs';
import { simulate } from './simulate.mjs';
import { makeTree } from './tree.mjs';

const BEGIN = '<!-- fan-out -->';
const END = '<!-- /fan-out -->';
const RATES = [1, 100, 1_000];
/** A change a second is watched for longer, so that there are enough of them. */
const secondsOf = (perSecond) => (perSecond === 1 ? 40 : 3);
/** Delays that are kept of one simulation; of more verifiers every so many-th is watched. */
const MAX_DELAYS = 10_000_000;
const SETTLE_MS = 20_000;
const BURST = 50_000;

/** Trees by the widths of their levels, the verifiers of a last process last. */
export const TREES = [
  { widths: [100] },
  { widths: [1_000] },
  { widths: [10_000] },
  { widths: [10, 1_000] },
  { widths: [40, 250] },
  { widths: [100, 1_000] },
  { widths: [20, 20, 250] },
  { widths: [20, 20, 250], links: ['continent'] },
  { widths: [40, 100, 250] },
  { widths: [10, 20, 20, 250] },
];
const HERDS = [
  { title: 'it restarts, all wait for it', reconnectTo: 'same', silent: false },
  { title: 'its process ends, all go to its 9 siblings', reconnectTo: 'siblings', silent: false },
  { title: 'its machine goes silent, all go to its 9 siblings', reconnectTo: 'siblings', silent: true },
];

export function fanOutTables({
  constants,
  validation,
  seed,
  trees = TREES,
  rates = RATES,
  herd = [10, 1_000],
  report = () => undefined,
}) {
  return [
    ...validationTable(validation),
    '',
    ...delayTable({ constants, seed, trees, rates, report }),
    '',
    ...(herd ? herdTable({ constants, seed, widths: herd, report }) : []),
    '',
    ...nodeTable({ constants, rates }),
    '',
    `Seed ${seed}. Constants: ${aboutOf(constants)}`,
  ].join('\n');
}

export function withFanOutTables(page, tables) {
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from < 0 || to < from) throw new Error(`the page has no ${BEGIN} ... ${END}`);
  return `${page.slice(0, from + BEGIN.length)}\n${tables}\n${page.slice(to)}`;
}

function validationTable({ points }) {
  return [
    '**Real processes and the simulation of the same**, p50 / p99 / max in ms. On a busy machine each process also waits for a core: the',
    'kernel counts by which factor that makes its work longer, and the simulation is shown with and without these factors.',
    '',
    '| watchers | changes | measured | simulated with the factors | error at p50 | simulated without | factors of server, watchers | load average |',
    '|---|---|---|---|---|---|---|---|',
    ...points.map(({ title, workload, measured, simulated, stretched, stretch, loadAverage }) => {
      const error = Math.round((stretched.p50 / measured.p50 - 1) * 100);
      const cells = [
        title,
        workload,
        three(measured),
        three(stretched),
        `${error > 0 ? '+' : ''}${error} %`,
        three(simulated),
        `${stretch.server.toFixed(1)}, ${stretch.watchers.toFixed(1)}`,
        loadAverage.toFixed(1),
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  ];
}

function delayTable({ constants, seed, trees, rates, report }) {
  const rows = trees.map(({ widths, links }) => {
    const cells = rates.map((perSecond) => {
      report(`${widths.join(' × ')}, ${perSecond}/s`);
      return three(delaysOf({ constants, seed, widths, links, perSecond }));
    });
    report(`${widths.join(' × ')}, ${BURST} at once`);
    cells.push(three(delaysOf({ constants, seed, widths, links, burst: BURST })));
    const verifiers = widths.reduce((product, width) => product * width, 1);
    const where = links ? ', origin in another region' : '';
    return `| ${count(verifiers)} | ${shapeOf(widths)}${where} | ${cells.join(' | ')} |`;
  });
  return [
    '**From the commit of a revocation to the verifiers**, simulated, p50 / p99 / max in ms:',
    '',
    `| verifiers | tree | ${rates.map((rate) => `${count(rate)} logout${rate > 1 ? 's' : ''}/s`).join(' | ')} | ${count(BURST)} at once |`,
    `|---|---|${'---|'.repeat(rates.length + 1)}`,
    ...rows,
  ];
}

const START_MS = 5_000;

function delaysOf({ constants, seed, widths, links, perSecond, burst }) {
  const random = seededRandom(seed);
  const tree = makeTree(widths, random, links);
  const commitsMs = burst ? [START_MS] : logouts(random, perSecond, secondsOf(perSecond) * 1_000);
  const sampleEvery = Math.max(1, Math.ceil((tree.verifiers * commitsMs.length) / MAX_DELAYS));
  const untilMs = commitsMs.at(-1) + SETTLE_MS + tree.verifiers / widths.length;
  const { delays, missing } = simulate(tree, {
    constants,
    random,
    commitsMs,
    sizes: burst ? [burst] : undefined,
    untilMs,
    // Not a divisor of the widths, so that each place in the order of a process is watched.
    sampleEvery: sampleEvery > 1 ? nextPrime(sampleEvery) : 1,
  });
  if (missing > 0) throw new Error(`${missing} verifiers missed a revocation`);
  return threeOf(delays);
}

/** Independent logouts, so many a second on average. */
export function logouts(random, perSecond, lengthMs) {
  const commitsMs = [];
  for (let nowMs = START_MS; nowMs < START_MS + lengthMs;) {
    commitsMs.push(nowMs);
    nowMs += random.exponential(perSecond / 1_000);
  }
  return commitsMs;
}

function herdTable({ constants, seed, widths, report }) {
  const rows = HERDS.map(({ title, reconnectTo, silent }) => {
    report(`herd: ${title}`);
    const { delays, reconnects, inTime, maxAgeMs } = herdOf({
      constants,
      seed,
      widths,
      reconnectTo,
      silent,
    });
    const shares = inTime.map((share) => `${(share * 100).toFixed(3)} %`).join(' | ');
    return `| ${title} | ${three(threeOf(reconnects))} | ${three(threeOf(delays))} | ${shares} | ${(maxAgeMs / 1_000).toFixed(1)} s |`;
  });
  return [
    `**One relay of ${shapeOf(widths)} dies**, at 100 logouts/s over two minutes, simulated; p50 / p99 / max in ms:`,
    '',
    '| what happens | its verifiers have a stream again after | delay, all verifiers | less than 5 s old | less than 5 min old | oldest |',
    '|---|---|---|---|---|---|',
    ...rows,
  ];
}

export function herdOf({ constants, seed, widths, reconnectTo, silent, lengthMs = 120_000 }) {
  const random = seededRandom(seed);
  const tree = makeTree(widths, random);
  const failures = [
    { node: tree.last[0], atMs: lengthMs / 4, forMs: random.uniform([1_000, 60_000]), silent },
  ];
  const result = simulate(tree, {
    constants,
    random,
    commitsMs: logouts(random, 100, lengthMs - START_MS),
    untilMs: lengthMs + SETTLE_MS,
    failures,
    reconnectTo,
    limitsMs: [5_000, 300_000],
  });
  if (result.missing > 0) throw new Error(`${result.missing} verifiers missed a revocation`);
  return result;
}

function nodeTable({ constants, rates }) {
  const { bytesPerUpdate, bytesPerRevocation, heartbeatBytes, makeMs, flushMs, watcherBytes } = constants;
  const lines = [20, 250, 1_000].map((subscribers) => {
    const cells = rates.map((perSecond) => {
      const rounds = Math.min(perSecond, 1_000 / Math.max(20, subscribers * 0.1));
      const bytes = rounds * bytesPerUpdate + (perSecond - rounds) * bytesPerRevocation + heartbeatBytes / 2;
      const cpu = (rounds + 0.5) * subscribers * (makeMs + flushMs);
      return `${((bytes * subscribers) / 1e3).toFixed(1)} kB/s, ${(cpu / 10).toFixed(1)} % of a core`;
    });
    return `| ${count(subscribers)} | ${((subscribers * watcherBytes) / 1e6).toFixed(0)} MB | ${cells.join(' | ')} |`;
  });
  return [
    '**What one process sends**, computed, without TLS and TCP:',
    '',
    `| subscribers | memory for them | ${rates.map((rate) => `${count(rate)} logout${rate > 1 ? 's' : ''}/s`).join(' | ')} |`,
    `|---|---|${'---|'.repeat(rates.length)}`,
    ...lines,
  ];
}

function aboutOf({ about, ...values }) {
  const us = (ms) => `${(ms * 1e3).toPrecision(2)} µs`;
  return (
    `measured ${about.date} on ${about.cores} cores (${about.cpu}), Node ${about.node}, load average ${about.loadAverage.join(' to ')}: ` +
    `${us(values.makeMs)} to make and ${us(values.flushMs)} to send an update to one subscriber, ${us(values.receiveMs)} to receive one, ` +
    `${values.connectMs.toPrecision(2)} ms for a new stream (without TLS), ${us(values.applyMs)} a revocation at a relay, ` +
    `${Math.round(values.watcherBytes / 1e3)} kB of memory a subscriber.`
  );
}

function shapeOf(widths) {
  if (widths.length === 1) return 'one process';
  return `${widths.slice(0, -1).map(count).join(' × ')} relay${widths.length > 2 || widths[0] > 1 ? 's' : ''} × ${count(widths.at(-1))}`;
}

function nextPrime(from) {
  for (let candidate = from; ; candidate++) {
    let divisor = 2;
    while (divisor * divisor <= candidate && candidate % divisor > 0) divisor += 1;
    if (divisor * divisor > candidate) return candidate;
  }
}

const threeOf = (histogram) => ({
  p50: histogram.quantile(0.5),
  p99: histogram.quantile(0.99),
  max: histogram.max,
});
const three = ({ p50, p99, max }) => [p50, p99, max].map(ms).join(' / ');
const ms = (value) => count(value < 10 ? Number(value.toFixed(1)) : Math.round(value));
const count = (value) => value.toLocaleString('en');
