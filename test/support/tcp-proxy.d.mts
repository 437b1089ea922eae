import type { TcpNetConnectOpts } from 'node:net';

/** A TCP proxy to a database or a service that can be closed, slowed and cut, and can discard everything that is sent. */
export class TcpProxy {
  /** @param target the path of a unix socket, or an address; read for each connection */
  constructor(target: string | TcpNetConnectOpts);
  /** Discards what is sent meanwhile. The connections of that time stay dead, and neither side is notified. */
  swallowing: boolean;
  /** The delay in each direction. */
  delayMs: number;
  /** @returns the port on 127.0.0.1 */
  open(port?: number): Promise<number>;
  /** Resets every connection; new ones are accepted. */
  cut(): void;
  /** Resets every connection and accepts no new ones until it is opened again. */
  close(): Promise<void>;
}
