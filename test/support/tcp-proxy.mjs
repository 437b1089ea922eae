import { connect, createServer } from 'node:net';
import { setTimeout } from 'node:timers';

/** See `tcp-proxy.d.mts`; plain JavaScript because the benches use it too. */
export class TcpProxy {
  swallowing = false;
  delayMs = 0;
  #server;
  #sockets = new Set();

  constructor(target) {
    this.#server = createServer((from) => this.#join(from, connect(target)));
  }

  async open(port = 0) {
    await new Promise((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
    return this.#server.address().port;
  }

  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close() {
    this.cut();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(from, to) {
    // A lost packet leaves a permanent gap in the stream, so the whole connection stays dead.
    const delivery = { isLost: false };
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        other.destroy();
        this.#sockets.delete(socket);
      });
      socket.on('data', (data) => {
        delivery.isLost ||= this.swallowing;
        if (delivery.isLost) return;
        if (this.delayMs === 0) other.write(data);
        else setTimeout(() => other.write(data), this.delayMs);
      });
    }
  }
}
