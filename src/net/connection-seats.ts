import type { Server, Socket } from 'node:net';

export interface ConnectionLimits {
  /** Connections at once. */
  readonly max: number;
  /** Of these, from one address. */
  readonly maxPerAddress: number;
}

/** One address may take this share of all connections, so that nobody shuts the others out alone. */
const SHARE_OF_ONE_ADDRESS = 0.25;
/**
 * So many of the newest are not held against their silence while others were served and ask nothing more: a probe that
 * has just connected would give way to the next socket of whoever has once asked on all others.
 */
const SHARE_OF_NEWCOMERS = 0.25;
/** What is being closed counts for Node until the next turn of the event loop, in which the whole backlog may come. */
const BEING_CLOSED = 1_024;

export function sharesOf(max: number): ConnectionLimits {
  return { max, maxPerAddress: Math.max(1, Math.floor(max * SHARE_OF_ONE_ADDRESS)) };
}

interface Seat {
  readonly socket: Socket;
  readonly room: Room;
}

/** Seats in the order in which they may be taken away: the longest silent first. */
class Room {
  /** Of those who have not sent a whole request. */
  readonly silent = new Set<Seat>();
  readonly served = new Set<Seat>();

  get size(): number {
    return this.silent.size + this.served.size;
  }

  remove(seat: Seat): void {
    this.silent.delete(seat);
    this.served.delete(seat);
  }

  markServed(seat: Seat): void {
    this.remove(seat);
    this.served.add(seat);
  }
}

/**
 * The connections of one listener. When all are taken, the oldest that has not sent a whole request is closed for the new
 * one: sockets that say nothing cost their owner nothing, and with the new one refused they would shut out probes and
 * callers for as long as they like. The same within the share of one address.
 */
export class ConnectionSeats {
  readonly #limits: ConnectionLimits;
  readonly #addressOf: (socket: Socket) => string | null;
  readonly #takesFromServed: boolean;
  readonly #seats = new Map<string, Seat>();
  readonly #everybody = new Room();
  readonly #byAddress = new Map<string, Room>();
  #closed = 0;

  /**
   * @param addressOf whose connection it is; null for those that are not told apart (loopback, a trusted proxy)
   * @param options.takesFromServed whether, when few are silent, whoever was served longest ago is closed for a new one
   */
  constructor(
    limits: ConnectionLimits,
    addressOf: (socket: Socket) => string | null,
    options: { readonly takesFromServed: boolean },
  ) {
    this.#limits = limits;
    this.#addressOf = addressOf;
    this.#takesFromServed = options.takesFromServed;
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
    server.maxConnections = this.#limits.max + BEING_CLOSED;
    server.prependListener('connection', (socket: Socket) => this.#admit(socket));
  }

  /** The other end has sent a whole request. @param socket of the connection, or what TLS or HTTP/2 has made of it */
  served(socket: Socket): void {
    const seat = this.#seats.get(keyOf(socket));
    if (!seat) return;
    this.#everybody.markServed(seat);
    seat.room.markServed(seat);
  }

  #admit(socket: Socket): void {
    const address = this.#addressOf(socket);
    const room = address === null ? this.#everybody : (this.#byAddress.get(address) ?? new Room());
    const isFull =
      (address !== null && !this.#hasRoom(room, this.#limits.maxPerAddress)) ||
      !this.#hasRoom(this.#everybody, this.#limits.max);
    if (isFull) {
      this.#closed += 1;
      socket.destroy();
      return;
    }
    if (address !== null) this.#byAddress.set(address, room);
    const key = keyOf(socket);
    const seat = { socket, room };
    this.#seats.set(key, seat);
    this.#everybody.silent.add(seat);
    room.silent.add(seat);
    socket.once('close', () => {
      if (this.#seats.get(key) === seat) this.#seats.delete(key);
      this.#remove(seat);
      if (address !== null && room.size === 0) this.#byAddress.delete(address);
    });
  }

  /** Whether there is a seat, if need be somebody else's. */
  #hasRoom(room: Room, max: number): boolean {
    if (room.size < max) return true;
    const [silent] = room.silent;
    const [served] = this.#takesFromServed ? room.served : [];
    const seat = room.silent.size > max * SHARE_OF_NEWCOMERS ? silent : (served ?? silent);
    if (!seat) return false;
    this.#closed += 1;
    this.#remove(seat);
    seat.socket.destroy();
    return true;
  }

  #remove(seat: Seat): void {
    this.#everybody.remove(seat);
    seat.room.remove(seat);
  }
}

/** One name for a connection, whichever of the objects that stand for it is asked. */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
