import { connect, createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

import type { Issued } from './certificates.ts';

const SSL_REQUEST = '0000000804d2162f';

/** A way to the test database that encrypts as a PostgreSQL with `ssl = on` does; without a certificate, as one without. */
export class TlsDatabaseProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Of connections made from now on. */
  issued: Issued | null;
  /** How the connections began, in order. */
  readonly began: ('encrypted' | 'plain')[] = [];

  /** @param databaseUrl a test database's, which is on a unix socket */
  constructor(databaseUrl: string, issued: Issued | null) {
    this.issued = issued;
    const url = new URL(databaseUrl);
    const target = `${url.searchParams.get('host') ?? ''}/.s.PGSQL.${url.port}`;
    this.#server = createServer((from) => {
      this.#track(from);
      from.once('data', (first: Buffer) => {
        if (first.toString('hex') !== SSL_REQUEST) {
          this.#forward(from, target, 'plain', first);
          return;
        }
        if (this.issued === null) {
          from.write('N');
          from.once('data', (next: Buffer) => this.#forward(from, target, 'plain', next));
          return;
        }
        from.write('S');
        const encrypted = new TLSSocket(from, { isServer: true, ...this.issued });
        this.#track(encrypted);
        encrypted.once('data', (next: Buffer) => this.#forward(encrypted, target, 'encrypted', next));
      });
    });
  }

  async open(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as { port: number }).port;
  }

  /** Ends every connection, as a server does that restarts with another certificate. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.disconnect();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #forward(from: Socket, target: string, how: 'encrypted' | 'plain', first: Buffer): void {
    this.began.push(how);
    const to = connect(target);
    this.#track(to);
    to.write(first);
    from.pipe(to).pipe(from);
    from.on('close', () => to.destroy());
    to.on('close', () => from.destroy());
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }
}
