import type { Server, Socket } from 'node:net';

import type { ReportRefusedConnection } from './refused-connection.ts';

export interface ConnectionLimits {
  /** Maximum number of connections. */
  readonly max: number;
  /** Maximum number of connections from one address. */
  readonly maxPerAddress: number;
}

/** The share of all connections that one address may have, so that no single address can use them all. */
const SHARE_PER_ADDRESS = 0.25;
/**
 * This share of the connections may be unserved before an unserved one is closed in preference to a served one. Otherwise
 * an attacker who has sent one request on every other connection could push out a probe that has just connected.
 */
const SHARE_OF_NEW_CONNECTIONS = 0.25;
/** Node counts a destroyed socket until the next turn of the event loop; the whole backlog may be accepted by then. */
const CLOSING_ALLOWANCE = 1_024;

export function connectionLimitsFor(max: number): ConnectionLimits {
  return { max, maxPerAddress: Math.max(1, Math.floor(max * SHARE_PER_ADDRESS)) };
}

type SlotState = 'unserved' | 'served' | 'busy';

interface Slot {
  readonly socket: Socket;
  readonly group: SlotGroup;
  state: SlotState;
  /** The calls in progress: several if the client sends requests without waiting for the responses. */
  calls: number;
  isClosed: boolean;
}

/** Slots in the order of eviction: the oldest first. */
class SlotGroup {
  /** Connections that have not sent a complete request. */
  readonly unserved = new Set<Slot>();
  readonly served = new Set<Slot>();
  /** Connections with a call in progress, which are never evicted. Its deadline limits how long it lasts. */
  readonly busy = new Set<Slot>();

  get size(): number {
    return this.unserved.size + this.served.size + this.busy.size;
  }

  add(slot: Slot): void {
    this[slot.state].add(slot);
  }

  remove(slot: Slot): void {
    this[slot.state].delete(slot);
  }
}

/**
 * Limits the connections of one listener. When all slots are in use, the oldest connection that has not sent a complete
 * request is closed for the new one. Idle sockets cost an attacker nothing: if new connections were refused instead, they
 * would keep out probes and callers indefinitely. The same applies within the share of one address.
 */
export class ConnectionSlots {
  readonly #limits: ConnectionLimits;
  readonly #addressOf: (socket: Socket) => string | null;
  readonly #evictsServed: boolean;
  readonly #slots = new Map<string, Slot>();
  /** The slots by the sockets that were asked for, because the addresses of a socket cost more than a call's place here. */
  readonly #slotsBySocket = new WeakMap<Socket, Slot>();
  readonly #all = new SlotGroup();
  readonly #byAddress = new Map<string, SlotGroup>();
  readonly #closedSockets = new WeakSet<Socket>();
  readonly #onClosed: ReportRefusedConnection;
  #closed = 0;

  /**
   * @param addressOf the address that a connection counts for; null for loopback and trusted proxies, which share one
   * @param options.evictsServed whether the connection served longest ago is closed when few connections are unserved
   * @param options.onClosed called for each connection that is closed because of the limits
   */
  constructor(
    limits: ConnectionLimits,
    addressOf: (socket: Socket) => string | null,
    options: { readonly evictsServed: boolean; readonly onClosed?: ReportRefusedConnection | undefined },
  ) {
    this.#limits = limits;
    this.#addressOf = addressOf;
    this.#evictsServed = options.evictsServed;
    this.#onClosed = options.onClosed ?? ignore;
  }

  /** Number of connections closed because of the limits, both evicted and refused ones. */
  get closed(): number {
    return this.#closed;
  }

  /** Whether this connection was closed because of the limits. @param socket the TCP socket */
  wasClosed(socket: Socket): boolean {
    return this.#closedSockets.has(socket);
  }

  /**
   * Adds a connection listener to a bound server, before all others. A unix socket is protected by its file permissions and
   * its connections have no address, so only their total number is limited.
   */
  install(server: Server): void {
    if (typeof server.address() === 'string') {
      server.maxConnections = this.#limits.max;
      server.on('drop', () => this.#countClosed(null, 'the limit of connections is reached'));
      return;
    }
    server.maxConnections = this.#limits.max + CLOSING_ALLOWANCE;
    server.prependListener('connection', (socket: Socket) => this.#admit(socket));
  }

  /** Call when a call begins whose response takes time; `served` ends it. @param socket as for `served` */
  called(socket: Socket): void {
    const slot = this.#slotOf(socket);
    if (!slot) return;
    slot.calls += 1;
    this.#move(slot, 'busy');
  }

  /**
   * Call when the peer has sent a complete request or, after `called`, when it has been answered.
   *
   * @param socket the TCP socket, or the TLS or HTTP/2 socket over it
   */
  served(socket: Socket): void {
    const slot = this.#slotOf(socket);
    if (!slot) return;
    slot.calls = Math.max(0, slot.calls - 1);
    if (slot.calls > 0) return;
    this.#move(slot, 'served');
  }

  #slotOf(socket: Socket): Slot | undefined {
    const known = this.#slotsBySocket.get(socket);
    if (known) return known.isClosed ? undefined : known;
    const slot = this.#slots.get(keyOf(socket));
    if (slot) this.#slotsBySocket.set(socket, slot);
    return slot;
  }

  /** To the end of its order. */
  #move(slot: Slot, state: SlotState): void {
    this.#remove(slot);
    slot.state = state;
    this.#add(slot);
  }

  #admit(socket: Socket): void {
    const address = this.#addressOf(socket);
    const group = address === null ? this.#all : (this.#byAddress.get(address) ?? new SlotGroup());
    const isFull =
      (address !== null && !this.#makeRoom(group, this.#limits.maxPerAddress)) ||
      !this.#makeRoom(this.#all, this.#limits.max);
    if (isFull) {
      this.#close(socket, 'the limit of connections is reached, and none of the others can be closed');
      return;
    }
    if (address !== null) this.#byAddress.set(address, group);
    const key = keyOf(socket);
    const slot: Slot = { socket, group, state: 'unserved', calls: 0, isClosed: false };
    this.#slots.set(key, slot);
    this.#add(slot);
    socket.once('close', () => {
      slot.isClosed = true;
      if (this.#slots.get(key) === slot) this.#slots.delete(key);
      this.#remove(slot);
      if (address !== null && group.size === 0) this.#byAddress.delete(address);
    });
  }

  /** Whether there is a free slot, after evicting another connection if necessary. */
  #makeRoom(group: SlotGroup, max: number): boolean {
    if (group.size < max) return true;
    const [unserved] = group.unserved;
    const [served] = this.#evictsServed ? group.served : [];
    const slot = group.unserved.size > max * SHARE_OF_NEW_CONNECTIONS ? unserved : (served ?? unserved);
    if (!slot) return false;
    this.#remove(slot);
    this.#close(slot.socket, 'the limit of connections is reached, and this one gave way to a new one');
    return true;
  }

  #close(socket: Socket, cause: string): void {
    this.#closedSockets.add(socket);
    this.#countClosed(socket.remoteAddress ?? null, cause);
    socket.destroy();
  }

  #countClosed(address: string | null, cause: string): void {
    this.#closed += 1;
    const { max, maxPerAddress } = this.#limits;
    const limits = address === null ? `${max}` : `${max}, ${maxPerAddress} from one address`;
    this.#onClosed({ reason: 'limit', detail: `${cause} (${limits})`, address });
  }

  #add(slot: Slot): void {
    this.#all.add(slot);
    slot.group.add(slot);
  }

  #remove(slot: Slot): void {
    this.#all.remove(slot);
    slot.group.remove(slot);
  }
}

function ignore(): void {}

/** The same key for all socket objects of a connection (TCP, TLS, HTTP/2). */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
