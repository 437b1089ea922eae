import { Server, ServerCredentials } from '@grpc/grpc-js';

import type { ListenAddress } from '../domain/listen-address.ts';
import { type Network, networkTest } from '../domain/network.ts';
import { callBoundary, type FinishedCall } from './call-boundary.ts';
import { Health, type HealthGroup, type HealthNames } from './health.ts';
import type { Gate } from './let-in.ts';
import { connectionLimits } from './limits.ts';
import { addReflection } from './reflection.ts';
import { clearStaleSocket } from './stale-socket.ts';
import type { ServerTls } from '../tls/server-tls.ts';
import { TlsCredentials } from './tls-credentials.ts';
import { foreignServices, type ServiceHandlers, serveMethods } from './serve-methods.ts';

/** Adds one of our services; the handlers are held against its generated definition. */
export type AddService = <Service extends object>(
  service: Service,
  handlers: ServiceHandlers<Service>,
) => void;

/** The gRPC listener: services of `method-table.ts`, health and reflection behind one call boundary. */
export class GrpcServer {
  readonly #server: Server;
  readonly #health: Health;
  readonly #openStreams = new Set<() => void>();
  #stopping = false;
  #throughUnixSocket = false;

  constructor(options: {
    services: (add: AddService) => void;
    gate: Gate;
    health: HealthNames;
    reflection: boolean;
    trustedProxies?: readonly Network[];
    onFinish: (call: FinishedCall) => void;
  }) {
    const boundary = callBoundary({
      isStopping: () => this.#stopping,
      throughUnixSocket: () => this.#throughUnixSocket,
      isTrustedProxy: networkTest(options.trustedProxies ?? []),
      openStreams: this.#openStreams,
      onFinish: options.onFinish,
    });
    this.#server = new Server({ ...connectionLimits, interceptors: [boundary] });
    options.services((service, handlers) => serveMethods(this.#server, service, options.gate, handlers));
    this.#health = new Health(options.health);
    const foreign = foreignServices(this.#server);
    this.#health.addTo(foreign);
    if (options.reflection) addReflection(foreign);
  }

  /**
   * @param tls null for plaintext
   * @returns the address that was bound, with the port that the system chose
   */
  async listen(address: ListenAddress, tls: ServerTls | null): Promise<ListenAddress> {
    this.#throughUnixSocket = address.kind === 'unix';
    if (address.kind === 'unix') await clearStaleSocket(address.path);
    const target = address.kind === 'unix' ? `unix:${address.path}` : hostAndPort(address.host, address.port);
    const credentials = tls === null ? ServerCredentials.createInsecure() : new TlsCredentials(tls);
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(target, credentials, (error, port) => {
        if (error) reject(error);
        else resolve(address.kind === 'unix' ? address : { ...address, port });
      });
    });
  }

  setServing(group: HealthGroup, serving: boolean): void {
    this.#health.set(group, serving);
  }

  /**
   * Health turns NOT_SERVING, new calls are refused, streams end at once, running calls may end within `graceMs`; then
   * all is closed.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#health.stop();
    for (const end of [...this.#openStreams]) end();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#server.forceShutdown(), graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
