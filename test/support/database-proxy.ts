import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy to the database that can be closed, and can discard everything that is sent, or only the answers. */
export class DatabaseProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  swallowing = false;
  /** Whether the database's answers are discarded, while what is sent to it arrives. */
  losingAnswers = false;

  /** @param databaseUrl the URL of a test database, which listens on a unix socket */
  constructor(databaseUrl: string) {
    const url = new URL(databaseUrl);
    const target = `${url.searchParams.get('host') ?? ''}/.s.PGSQL.${url.port}`;
    this.#server = createServer((from) => {
      const to = connect(target);
      for (const socket of [from, to]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          from.destroy();
          to.destroy();
          this.#sockets.delete(socket);
        });
      }
      from.on('data', (data) => this.swallowing || to.write(data));
      to.on('data', (data) => this.swallowing || this.losingAnswers || from.write(data));
    });
  }

  /** @returns the port on 127.0.0.1 */
  async open(port = 0): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    return (this.#server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }
}
