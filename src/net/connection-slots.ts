import type { Server, Socket } from 'node:net';

export interface ConnectionLimits {
  /** Connections at once. */
  readonly max: number;
  /** Of these, from one address. */
  readonly maxPerAddress: number;
}

/** One address may take this share of all connections, so that nobody shuts the others out alone. */
const SHARE_PER_ADDRESS = 0.25;
/**
 * So many of the newest are not held against their silence while others were served and ask nothing more: a probe that
 * has just connected would give way to the next socket of whoever has once asked on all others.
 */
const SHARE_OF_NEW_CONNECTIONS = 0.25;
/** What is being closed counts for Node until the next turn of the event loop, in which the whole backlog may come. */
const CLOSING_ALLOWANCE = 1_024;

export function connectionLimitsFor(max: number): ConnectionLimits {
  return { max, maxPerAddress: Math.max(1, Math.floor(max * SHARE_PER_ADDRESS)) };
}

interface Slot {
  readonly socket: Socket;
  readonly group: SlotGroup;
}

/** Seats in the order in which they may be taken away: the longest silent first. */
class SlotGroup {
  /** Of those who have not sent a whole request. */
  readonly unserved = new Set<Slot>();
  readonly served = new Set<Slot>();

  get size(): number {
    return this.unserved.size + this.served.size;
  }

  remove(slot: Slot): void {
    this.unserved.delete(slot);
    this.served.delete(slot);
  }

  markServed(slot: Slot): void {
    this.remove(slot);
    this.served.add(slot);
  }
}

/**
 * The connections of one listener. When all are taken, the oldest that has not sent a whole request is closed for the new
 * one: sockets that say nothing cost their owner nothing, and with the new one refused they would shut out probes and
 * callers for as long as they like. The same within the share of one address.
 */
export class ConnectionSlots {
  readonly #limits: ConnectionLimits;
  readonly #addressOf: (socket: Socket) => string | null;
  readonly #evictsServed: boolean;
  readonly #slots = new Map<string, Slot>();
  readonly #all = new SlotGroup();
  readonly #byAddress = new Map<string, SlotGroup>();
  #closed = 0;

  /**
   * @param addressOf whose connection it is; null for those that are not told apart (loopback, a trusted proxy)
   * @param options.evictsServed whether, when few are silent, whoever was served longest ago is closed for a new one
   */
  constructor(
    limits: ConnectionLimits,
    addressOf: (socket: Socket) => string | null,
    options: { readonly evictsServed: boolean },
  ) {
    this.#limits = limits;
    this.#addressOf = addressOf;
    this.#evictsServed = options.evictsServed;
  }

  /** How many were closed for want of a seat, old ones and new ones. */
  get closed(): number {
    return this.#closed;
  }

  /**
   * Takes its place before whatever else listens for connections of a bound server. Who comes through a unix socket is
   * let in by its permissions, and has no address that would tell one connection from another: those are counted alone.
   */
  install(server: Server): void {
    if (typeof server.address() === 'string') {
      server.maxConnections = this.#limits.max;
      return;
    }
    server.maxConnections = this.#limits.max + CLOSING_ALLOWANCE;
    server.prependListener('connection', (socket: Socket) => this.#admit(socket));
  }

  /** The other end has sent a whole request. @param socket of the connection, or what TLS or HTTP/2 has made of it */
  served(socket: Socket): void {
    const slot = this.#slots.get(keyOf(socket));
    if (!slot) return;
    this.#all.markServed(slot);
    slot.group.markServed(slot);
  }

  #admit(socket: Socket): void {
    const address = this.#addressOf(socket);
    const group = address === null ? this.#all : (this.#byAddress.get(address) ?? new SlotGroup());
    const isFull =
      (address !== null && !this.#makeRoom(group, this.#limits.maxPerAddress)) ||
      !this.#makeRoom(this.#all, this.#limits.max);
    if (isFull) {
      this.#closed += 1;
      socket.destroy();
      return;
    }
    if (address !== null) this.#byAddress.set(address, group);
    const key = keyOf(socket);
    const slot = { socket, group };
    this.#slots.set(key, slot);
    this.#all.unserved.add(slot);
    group.unserved.add(slot);
    socket.once('close', () => {
      if (this.#slots.get(key) === slot) this.#slots.delete(key);
      this.#remove(slot);
      if (address !== null && group.size === 0) this.#byAddress.delete(address);
    });
  }

  /** Whether there is a seat, if need be somebody else's. */
  #makeRoom(group: SlotGroup, max: number): boolean {
    if (group.size < max) return true;
    const [unserved] = group.unserved;
    const [served] = this.#evictsServed ? group.served : [];
    const slot = group.unserved.size > max * SHARE_OF_NEW_CONNECTIONS ? unserved : (served ?? unserved);
    if (!slot) return false;
    this.#closed += 1;
    this.#remove(slot);
    slot.socket.destroy();
    return true;
  }

  #remove(slot: Slot): void {
    this.#all.remove(slot);
    slot.group.remove(slot);
  }
}

/** One name for a connection, whichever of the objects that stand for it is asked. */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
