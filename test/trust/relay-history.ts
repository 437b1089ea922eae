import { formatCursor, parseCursor } from '../../src/trust/trust-cursor.ts';
import type { Revocation } from '../../src/domain/revocation-set.ts';
import { RelayedStream } from '../../src/trust/relayed-stream.ts';
import { RevocationJournal } from '../../src/trust/revocation-journal.ts';
import { positionOf } from '../../src/trust/revocation-position.ts';
import { TrustBundle } from '../../src/trust/trust-bundle.ts';

/** How often each step happens, relative to the others. */
export interface Mix {
  readonly begin: number;
  readonly commit: number;
  readonly revoke: number;
  readonly read: number;
  readonly deliver: number;
  readonly lose: number;
  readonly hop: number;
  readonly restart: number;
  readonly failOver: number;
}

/** What the relays are made of; a test replaces a part with a wrong one. */
export interface RelayParts {
  readonly bundle: (nowMs: () => number) => TrustBundle;
  readonly stream: (bundle: TrustBundle) => RelayedStream;
}

/** So small that it overflows within a history. */
export const smallJournal = () => new RevocationJournal(12);

export const realParts: RelayParts = {
  bundle: (nowMs) => new TrustBundle(nowMs, smallJournal()),
  stream: (bundle) => new RelayedStream(bundle),
};

interface Update {
  readonly revocations: readonly Revocation[];
  readonly cursor: string;
  readonly complete: boolean;
  readonly isSnapshot: boolean;
  /** Of the heartbeat that follows. */
  readonly ageMs: number;
}

/** A source of numbers that gives the same history for the same seed (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const revocation = (id: string): Revocation => ({ kind: 'jti', id, expiresAtSeconds: 1_000 });
const cursorOf = (bundle: TrustBundle) => (bundle.cursor === null ? '' : formatCursor(bundle.cursor));

/** A table whose transactions commit in any order. After a failover, transactions have numbers that were used before. */
class Table {
  readonly ids: string[] = [];
  readonly running: number[] = [];
  #rows: { id: string; transaction: number }[] = [];
  #epoch = 1n;
  #next = 10;

  begin(): number {
    this.running.push(this.#next);
    return this.#next++;
  }

  commit(transaction: number): string {
    this.running.splice(this.running.indexOf(transaction), 1);
    const id = `${this.#epoch}.${transaction}`;
    this.ids.push(id);
    this.#rows.push({ id, transaction });
    return id;
  }

  failOver(): void {
    this.#epoch += 1n;
    this.#next = Math.max(10, this.#next - 3);
    this.running.length = 0;
    // Replicated rows keep their numbers, which the new server has not reached.
    this.#rows = this.#rows.map(({ id, transaction }) => ({
      id,
      transaction: Math.min(transaction, this.#next - 1),
    }));
  }

  /** As the feed does, a page at each step. The cursor is the horizon at the first page. */
  *readInto(bundle: TrustBundle, nowMs: () => number, pageRows: number): Generator<void, void, undefined> {
    const epoch = this.#epoch;
    const readAtMs = nowMs();
    const horizon = positionOf(epoch, BigInt(Math.min(this.#next, ...this.running)));
    const known = bundle.cursor;
    const isNewServer = known !== null && known >> 64n !== epoch;
    const since = known === null || isNewServer ? 0n : known;
    for (let last = positionOf(0n, 0n), lastId = ''; ;) {
      const rows = this.#rows
        .map(({ id, transaction }) => ({
          ...revocation(id),
          position: positionOf(epoch, BigInt(transaction)),
        }))
        .filter(
          ({ position, id }) => position >= since && (position > last || (position === last && id > lastId)),
        )
        .sort((one, other) => Number(one.position - other.position) || (one.id < other.id ? -1 : 1));
      const revocations = rows.slice(0, pageRows);
      const complete = rows.length <= pageRows;
      bundle.applyUpdates({ revocations, cursor: horizon, complete, readAtMs });
      if (complete) return;
      ({ position: last, id: lastId } = revocations.at(-1) as (typeof revocations)[number]);
      yield;
      // The feed starts over when a page comes from another server.
      if (this.#epoch !== epoch) return;
    }
  }
}

/**
 * One WatchTrust stream: the server's part, which sends in the order of `trust-service.ts` and `trust-broadcaster.ts`, in
 * chunks of at most two.
 */
class Stream {
  readonly #bundle: TrustBundle;
  readonly #updates: Generator<Update, never, undefined>;
  readonly #chunk: () => number;
  #pending = new Map<string, Revocation>();
  #unsubscribe: (() => void) | null = null;

  constructor(bundle: TrustBundle, cursor: string, chunk: () => number) {
    this.#bundle = bundle;
    this.#chunk = chunk;
    this.#updates = this.#serve(cursor);
  }

  /** The next update; a heartbeat when nothing has changed. */
  next(): Update {
    return this.#updates.next().value;
  }

  close(): void {
    this.#unsubscribe?.();
  }

  *#serve(requested: string): Generator<Update, never, undefined> {
    const bundle = this.#bundle;
    const position = parseCursor(requested);
    let missed = position === null ? null : bundle.missedSince(position);
    const isSnapshot = missed === null;
    while (missed === null) {
      const begun = bundle.cursor ?? 0n;
      yield* this.#chunks(bundle.revocations(), '', null, true);
      missed = bundle.addedSince(begun);
    }
    this.#unsubscribe = bundle.subscribe((change) => {
      if (change.kind !== 'revocations') return;
      for (const one of change.revocations) this.#pending.set(one.id, one);
    });
    let sent = cursorOf(bundle);
    yield* this.#chunks(missed, isSnapshot ? '' : requested, sent, isSnapshot);
    for (;;) {
      const round = this.#pending;
      this.#pending = new Map();
      const cursor = cursorOf(bundle);
      yield* this.#chunks(round.values(), sent, cursor, false);
      sent = cursor;
    }
  }

  *#chunks(
    revocations: Iterable<Revocation>,
    previous: string,
    cursor: string | null,
    isSnapshot: boolean,
  ): Generator<Update, void, undefined> {
    const { ageMs } = this.#bundle;
    let chunk: Revocation[] = [];
    for (const one of [...revocations]) {
      if (chunk.length > this.#chunk()) {
        yield { revocations: chunk, cursor: previous, complete: false, isSnapshot, ageMs };
        chunk = [];
      }
      chunk.push(one);
    }
    if (cursor !== null) yield { revocations: chunk, cursor, complete: true, isSnapshot, ageMs };
    else if (chunk.length > 0)
      yield { revocations: chunk, cursor: previous, complete: false, isSnapshot, ageMs };
  }
}

/** The part of a client that relays and verifiers have in common: a stream, and a cursor to resume from. */
class Client {
  readonly learned = new Set<string>();
  readonly relay: { readonly bundle: TrustBundle; readonly stream: RelayedStream } | null;
  stream: Stream | null = null;
  upstream: TrustBundle | null = null;
  #cursor = '';
  #isComplete = false;

  readonly #nowMs: () => number;

  constructor(parts: RelayParts | null, nowMs: () => number) {
    this.#nowMs = nowMs;
    if (parts === null) this.relay = null;
    else {
      const bundle = parts.bundle(nowMs);
      this.relay = { bundle, stream: parts.stream(bundle) };
    }
  }

  /** Of the last complete batch. */
  get cursor(): string {
    return this.#cursor;
  }

  connect(upstream: TrustBundle, chunk: () => number): void {
    this.lose();
    if (upstream.cursor === null) return;
    this.upstream = upstream;
    this.stream = new Stream(upstream, this.#cursor, chunk);
  }

  lose(): void {
    this.stream?.close();
    this.stream = null;
    this.upstream = null;
  }

  receive(): void {
    if (this.stream === null) return;
    const { revocations, cursor, complete, isSnapshot, ageMs } = this.stream.next();
    for (const { id } of revocations) this.learned.add(id);
    if (this.relay) {
      this.relay.stream.revoke(revocations);
      this.relay.stream.hold(revocations);
      if (complete) {
        this.relay.stream.complete(cursor, isSnapshot);
        this.relay.bundle.confirm(this.#nowMs() - ageMs);
      }
    }
    if (complete) this.#isComplete = true;
    if (this.#isComplete && cursor !== '') this.#cursor = cursor;
  }
}

export const mixes: readonly (readonly [name: string, Mix])[] = (() => {
  // Some transaction is open most of the time, so that much is committed above the horizon.
  const usual = {
    begin: 6,
    commit: 5,
    revoke: 3,
    read: 8,
    deliver: 24,
    lose: 2,
    hop: 10,
    restart: 0,
    failOver: 0,
  };
  const mixesByName: Readonly<Record<string, Mix>> = {
    'late commits and hops': usual,
    'many revocations at once, and breaks between chunks': {
      ...usual,
      begin: 8,
      commit: 8,
      read: 3,
      lose: 5,
    },
    'relays that restart': { ...usual, restart: 2 },
    'databases that fail over': { ...usual, failOver: 1 },
  };
  return Object.entries(mixesByName);
})();

/** The seeds, of `count`, of the histories in which a revocation is lost. */
export function losses(mix: Mix, count: number, parts: RelayParts = realParts): number[] {
  return Array.from({ length: count }, (_, seed) => seed).filter(
    (seed) => lostIn(seed, mix, parts).length > 0,
  );
}

const STEPS = 90;
const STEP_MS = 400;
/** A read of more takes several steps. */
const PAGE_ROWS = 3;

/**
 * Two instances of the service on one database, three relays that hop between them and each other, and four verifiers that
 * hop between all. At the end, everybody is connected and has received everything.
 *
 * @returns the revocations that a relay or a verifier never learned
 */
export function lostIn(seed: number, mix: Mix, parts: RelayParts = realParts): string[] {
  const random = randomOf(seed);
  const table = new Table();
  let passedMs = 0;
  const nowMs = () => passedMs;
  const origins = [0, 1].map(() => new TrustBundle(nowMs, smallJournal()));
  const reads = new Map<TrustBundle, Generator<void, void, undefined>>();
  /** The next page of a read, or the first of the next one. */
  const read = (origin: TrustBundle, pageRows = PAGE_ROWS) => {
    const page = reads.get(origin) ?? table.readInto(origin, nowMs, pageRows);
    if (page.next().done) reads.delete(origin);
    else reads.set(origin, page);
  };
  for (const origin of origins) read(origin);
  const relays = [0, 1, 2].map(() => new Client(parts, nowMs));
  const verifiers = [0, 1, 2, 3].map(() => new Client(null, nowMs));
  const clients = [...relays, ...verifiers];
  const chunk = () => random(2);
  const pick = <T>(from: readonly T[]) => from[random(from.length)] as T;
  /** A relay gets its stream from an instance or from a relay before it, so that there is no ring. */
  const connect = (client: Client, mayTryRelays = true) => {
    const place = relays.indexOf(client);
    const before = place < 0 ? relays : relays.slice(0, place);
    const bundles = before.flatMap(({ relay }) => (relay === null ? [] : [relay.bundle]));
    client.connect(pick(mayTryRelays ? [...origins, ...bundles, ...bundles] : origins), chunk);
  };
  const loseWatchersOf = (bundle: TrustBundle) => {
    for (const client of clients) if (client.upstream === bundle) client.lose();
  };
  const steps = Object.entries(mix).flatMap(([name, weight]) =>
    Array.from({ length: Number(weight) }, () => name as keyof Mix),
  );

  for (let step = 0; step < STEPS; step += 1) {
    passedMs += STEP_MS;
    switch (pick(steps)) {
      case 'begin':
        table.begin();
        break;
      case 'commit':
        if (table.running.length > 0) table.commit(pick(table.running));
        break;
      case 'revoke':
        pick(origins).revoke([revocation(table.commit(table.begin()))]);
        break;
      case 'read':
        read(pick(origins));
        break;
      case 'deliver': {
        const client = pick(clients);
        for (let count = random(3); count >= 0; count -= 1) client.receive();
        break;
      }
      case 'lose':
        pick(clients).lose();
        break;
      case 'hop':
        connect(pick(clients));
        break;
      case 'restart': {
        const place = random(relays.length);
        const { relay } = relays[place] as Client;
        if (relay) loseWatchersOf(relay.bundle);
        relays[place]?.lose();
        const fresh = new Client(parts, nowMs);
        clients.splice(clients.indexOf(relays[place] as Client), 1, fresh);
        relays[place] = fresh;
        break;
      }
      case 'failOver':
        table.failOver();
        break;
    }
  }
  for (const transaction of [...table.running]) table.commit(transaction);
  reads.clear();
  for (const origin of origins) read(origin, Infinity);
  for (const client of clients) if (client.stream === null) connect(client);
  // Down a chain of three relays, one update at a time.
  const newest = origins.map(cursorOf);
  for (let round = 0; round < 500 && !clients.every(({ cursor }) => newest.includes(cursor)); round += 1) {
    for (const client of clients) {
      if (client.stream === null) connect(client, round < 30);
      client.receive();
    }
  }
  return clients.flatMap(({ learned }) => table.ids.filter((id) => !learned.has(id)));
}
