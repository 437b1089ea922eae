// A revocation on its way through a tree of relays to all verifiers, as discrete events. Each process has one thread, which does one
// thing after the other; the times of those are measured (constants.json). What follows from the code of the service and of
// the verifiers is repeated here, and `test/bench/fan-out.test.ts` compares it with the code.
import { EventQueue } from './event-queue.mjs';
import { Histogram } from './histogram.mjs';
import { LINKS } from './tree.mjs';

export const PAUSE_MS_PER_SUBSCRIBER = 0.1;
export const HEARTBEAT_EVERY_MS = 2_000;
export const SILENCE_LIMIT_MS = 10_000;
export const CHUNK_BYTES = 60 * 1_024;
/** Instances tell each other of commits at most this often. */
export const NOTIFY_EVERY_MS = 20;
const READ_MS = [2, 5];
const POLL_EVERY_MS = 1_000;

/** The delays before the attempts to open a stream again: none, then 25 to 50 ms, and so on to 1 to 2 s. */
export function retryDelayMs(attempt, random) {
  if (attempt === 0) return 0;
  return Math.min(50 * 2 ** (attempt - 1), 2_000) * (0.5 + 0.5 * random());
}

/**
 * @param {ReturnType<import('./tree.mjs').makeTree>} tree
 * @param {{
 *   constants: Record<string, number>, random: object, commitsMs: number[], untilMs: number,
 *   failures?: { node: object, atMs: number, forMs: number, silent: boolean }[],
 *   reconnectTo?: 'siblings' | 'same', sizes?: number[], feed?: boolean, limitsMs?: number[],
 *   isOneMachine?: boolean, sampleEvery?: number,
 * }} options `commitsMs` in order; `sizes` revocations in each commit (1); `feed: false` for changes that the origin makes
 *   itself; `limitsMs` for the share of time in which a verifier knows less than that; `isOneMachine` for a measurement on
 *   one machine: links take no time, and all verifiers share one thread, which needs `constants.receiverMs` an update;
 *   `sampleEvery` to watch only every so many-th verifier
 */
export function simulate(tree, options) {
  const {
    constants,
    random,
    commitsMs,
    untilMs,
    failures = [],
    sizes,
    feed = true,
    limitsMs = [],
    sampleEvery = 1,
  } = options;
  const events = new EventQueue();
  const delays = new Histogram();
  const reconnects = new Histogram();
  const [origin] = tree.nodes;
  const knownBy = new Int32Array(tree.verifiers);
  const confirmedBy = new Float64Array(tree.verifiers);
  const countedMs = new Float64Array(tree.verifiers);
  const lateMs = limitsMs.map(() => 0);
  let maxAgeMs = 0;
  let receiverBusyMs = 0;

  const sizeOf = (from, to) => {
    if (!sizes) return to - from;
    let size = 0;
    for (let index = from; index < to; index++) size += sizes[index];
    return size;
  };
  const bytesOf = (count) => constants.bytesPerUpdate + constants.bytesPerRevocation * (count - 1);
  const occupy = (node, fromMs, ms) => {
    const startMs = Math.max(fromMs, node.busyUntilMs);
    node.busyUntilMs = startMs + ms;
    return startMs;
  };
  const isUp = (node, ms) => ms < node.downFromMs || ms >= node.upAtMs;
  const linkTo = (node) => (options.isOneMachine ? 0 : node.linkMs + random.next() * 0.5);
  const linkToVerifier = () => (options.isOneMachine ? 0 : random.uniform(LINKS.zone));

  function deliver(verifier, known, ms) {
    if (verifier % sampleEvery !== 0) return;
    let arrivedMs = ms + constants.receiveMs;
    if (options.isOneMachine) {
      receiverBusyMs = Math.max(receiverBusyMs, ms) + constants.receiverMs;
      arrivedMs = receiverBusyMs;
    }
    for (let index = knownBy[verifier]; index < known; index++) delays.add(arrivedMs - commitsMs[index]);
    if (known > knownBy[verifier]) knownBy[verifier] = known;
  }

  /** Counts how late a verifier was up to now, and once: a heartbeat of a relay without an upstream confirms nothing new. */
  function confirm(verifier, confirmedMs, ms) {
    maxAgeMs = Math.max(maxAgeMs, ms - confirmedBy[verifier]);
    for (const [index, limitMs] of limitsMs.entries())
      lateMs[index] += Math.max(0, ms - Math.max(confirmedBy[verifier] + limitMs, countedMs[verifier]));
    countedMs[verifier] = Math.max(countedMs[verifier], ms);
    confirmedBy[verifier] = Math.max(confirmedBy[verifier], confirmedMs);
  }

  /**
   * All messages of a round are made first, then they leave one after the other. A round of many chunks goes to all chunk by
   * chunk.
   */
  function sendRound(node, fromMs, bytesEach, each) {
    const subscribers = node.relays.length + node.verifiers.length;
    const chunks = Math.ceil(bytesEach / CHUNK_BYTES);
    const makeMs = subscribers * constants.makeMs;
    const flushMs = constants.flushMs + (bytesEach / chunks) * constants.flushMsPerByte;
    const startMs = occupy(node, fromMs, chunks * (makeMs + subscribers * flushMs));
    let leavesMs = startMs + (chunks - 1) * (makeMs + subscribers * flushMs) + makeMs;
    for (const child of [...node.relays, ...node.verifiers]) {
      leavesMs += flushMs;
      if (!isUp(node, leavesMs)) return;
      node.sentBytes += bytesEach;
      each(child, leavesMs);
    }
  }

  function send(node, ms) {
    node.hasTimer = false;
    if (!isUp(node, ms)) return;
    const startMs = Math.max(ms, node.busyUntilMs);
    const { known } = node;
    const size = sizeOf(node.sent ?? 0, known);
    if (size === 0) return;
    node.sent = known;
    node.lastSentMs = startMs;
    sendRound(node, startMs, bytesOf(size), (child, leavesMs) => {
      if (typeof child === 'number') deliver(child, known, leavesMs + linkToVerifier());
      else events.at(leavesMs + linkTo(child), (atMs) => receive(child, known, atMs));
    });
  }

  function changed(node, ms) {
    if (node.hasTimer) return;
    node.hasTimer = true;
    const subscribers = node.relays.length + node.verifiers.length;
    const dueMs = node.lastSentMs + subscribers * PAUSE_MS_PER_SUBSCRIBER;
    events.at(dueMs <= ms ? ms : Math.ceil(dueMs), (atMs) => send(node, atMs));
  }

  function receive(node, known, ms) {
    if (!isUp(node, ms) || known <= node.known) return;
    const startMs = occupy(node, ms, constants.receiveMs + sizeOf(node.known, known) * constants.applyMs);
    const doneMs = startMs + constants.receiveMs;
    node.known = known;
    changed(node, Math.max(doneMs, node.busyUntilMs));
  }

  function heartbeat(node, ms) {
    events.at(ms + HEARTBEAT_EVERY_MS, (atMs) => heartbeat(node, atMs));
    if (!isUp(node, ms)) return;
    if (node === origin) node.confirmedMs = ms - random.next() * POLL_EVERY_MS;
    const { confirmedMs } = node;
    sendRound(node, ms, constants.heartbeatBytes, (child, leavesMs) => {
      if (typeof child === 'number') {
        if (limitsMs.length > 0) confirm(child, confirmedMs, leavesMs + linkToVerifier());
        return;
      }
      const arrivesMs = leavesMs + linkTo(child);
      if (isUp(child, arrivesMs)) child.confirmedMs = Math.max(child.confirmedMs, confirmedMs);
    });
  }

  /** Opens the stream of a relay or verifier anew, after its node went down. */
  function reconnect(child, lost, lostMs, attempt, ms) {
    events.at(ms + retryDelayMs(attempt, random.next), (atMs) => {
      const siblings = lost.parent ? lost.parent.relays : [lost];
      const target = options.reconnectTo === 'siblings' ? siblings[random.below(siblings.length)] : lost;
      const arrivesMs = atMs + 3 * linkToVerifier();
      if (!isUp(target, arrivesMs)) {
        reconnect(child, lost, lostMs, attempt + 1, arrivesMs);
        return;
      }
      const openedMs = occupy(target, arrivesMs, constants.connectMs) + constants.connectMs;
      events.at(openedMs, () => {
        if (!isUp(target, openedMs)) {
          reconnect(child, lost, lostMs, 0, openedMs);
          return;
        }
        // The journal gives what was missed; what comes later comes with the next round.
        const arrivedMs = openedMs + linkToVerifier();
        reconnects.add(arrivedMs - lostMs);
        if (typeof child === 'number') {
          target.verifiers.push(child);
          deliver(child, target.known, arrivedMs);
          confirm(child, target.confirmedMs, arrivedMs);
        } else {
          target.relays.push(child);
          child.parent = target;
          child.confirmedMs = Math.max(child.confirmedMs, target.confirmedMs);
          receive(child, target.known, arrivedMs);
        }
      });
    });
  }

  function fail({ node, silent }, ms) {
    // What it was still sending is lost.
    node.busyUntilMs = node.upAtMs;
    const children = [...node.relays, ...node.verifiers];
    node.relays = [];
    node.verifiers = [];
    for (const child of children) {
      const noticedMs = silent ? SILENCE_LIMIT_MS - random.next() * HEARTBEAT_EVERY_MS : linkToVerifier();
      reconnect(child, node, ms, 0, ms + noticedMs);
    }
    const { parent } = node;
    if (!parent) return;
    parent.relays = parent.relays.filter((one) => one !== node);
    events.at(node.upAtMs, (atMs) => reconnect(node, parent, atMs, 0, atMs));
  }

  for (const [index, commitMs] of commitsMs.entries()) {
    const tickMs = (Math.floor(commitMs / NOTIFY_EVERY_MS) + 1) * NOTIFY_EVERY_MS;
    events.at(feed ? tickMs + random.uniform(READ_MS) : commitMs, (atMs) => {
      if (index + 1 <= origin.known) return;
      origin.known = index + 1;
      changed(origin, atMs);
    });
  }
  for (const node of tree.nodes)
    events.at(random.next() * HEARTBEAT_EVERY_MS, (atMs) => heartbeat(node, atMs));
  for (const failure of failures) {
    // Known before, so that a round that has begun ends with the process.
    failure.node.downFromMs = failure.atMs;
    failure.node.upAtMs = failure.atMs + failure.forMs;
    events.at(failure.atMs, (atMs) => fail(failure, atMs));
  }
  events.runUntil(untilMs);
  if (limitsMs.length > 0)
    for (const [verifier, confirmedMs] of confirmedBy.entries()) confirm(verifier, confirmedMs, untilMs);
  const inTime = lateMs.map((ms) => 1 - ms / (untilMs * tree.verifiers));
  const missing = knownBy.reduce(
    (sum, known, verifier) => sum + Number(verifier % sampleEvery === 0 && known < commitsMs.length),
    0,
  );
  return { delays, reconnects, inTime, maxAgeMs, missing };
}
