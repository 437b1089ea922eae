/** One-way delays, ms: what a message takes between two machines. */
export const LINKS = { zone: [0.3, 0.8], region: [0.8, 1.5], continent: [40, 90] };

/**
 * A tree of processes. The first is the origin, which reads the database; the others are relays. Verifiers are numbers.
 *
 * @param {number[]} widths how many relays the origin has, how many each of those has, …, and last the verifiers of each of the
 *   last relays: [1000] is an origin with a thousand verifiers, [20, 250] has twenty relays
 * @param {{ next: () => number, uniform: Function }} random
 * @param {(keyof typeof LINKS)[]} links the link above each level; those that are not given are in the zone
 */
export function makeTree(widths, random, links = []) {
  const nodes = [newNode(0, null)];
  let level = [nodes[0]];
  for (const [depth, width] of widths.slice(0, -1).entries()) {
    level = level.flatMap((parent) =>
      Array.from({ length: width }, () => {
        const node = newNode(depth + 1, parent);
        node.linkMs = baseOf(links[depth], random);
        parent.relays.push(node);
        nodes.push(node);
        return node;
      }),
    );
  }
  let verifiers = 0;
  for (const node of level) for (let own = 0; own < widths.at(-1); own++) node.verifiers.push(verifiers++);
  return { nodes, last: level, verifiers };
}

/** The part of the delay that one link always has. Distances between regions differ, those within one hardly. */
function baseOf(link, random) {
  return link === 'continent' ? random.uniform(LINKS.continent) : (LINKS[link ?? 'zone'][0] ?? 0);
}

function newNode(level, parent) {
  return {
    level,
    parent,
    linkMs: LINKS.zone[0],
    relays: [],
    verifiers: [],
    /** How many changes it knows: all nodes learn them in one order. */
    known: 0,
    /** Until when its only thread is busy. */
    busyUntilMs: 0,
    lastSentMs: -Infinity,
    hasTimer: false,
    /** The changes up to then are known: the age of the heartbeats is the time since. */
    confirmedMs: 0,
    downFromMs: Infinity,
    upAtMs: -Infinity,
    sentBytes: 0,
  };
}
