import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { Server, ServerCredentials, type ServerInterceptor, type ServerOptions } from '@grpc/grpc-js';

import type { ListenAddress } from '../domain/listen-address.ts';
import { type Network, networkTest, plainIp, sourceOf } from '../domain/network.ts';
import { HealthService } from '../generated/grpc/health/v1/health.ts';
import { callBoundary, type FinishedCall } from './call-boundary.ts';
import { guardConnections } from './connection-guard.ts';
import { DirectCalls } from './direct-calls.ts';
import { Health, type HealthGroup, type HealthNames } from './health.ts';
import type { Gate } from './let-in.ts';
import { connectionLimits, MAX_CONNECTIONS, REQUEST_LIMIT_MS } from './limits.ts';
import { isLoopback } from './peer-address.ts';
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

/** One address may take this share of all connections, so that nobody shuts the others out alone. */
const SHARE_OF_ONE_ADDRESS = 0.25;

/** The gRPC listener: services of `method-table.ts`, health and reflection behind one call boundary. */
export class GrpcServer {
  readonly #server: Server;
  readonly #health: Health;
  readonly #direct: DirectCalls;
  readonly #openStreams = new Set<() => void>();
  readonly #maxConnections: number;
  readonly #isTrustedProxy: (address: string) => boolean;
  #stopping = false;
  #throughUnixSocket = false;

  constructor(options: {
    services: (add: AddService) => void;
    gate: Gate;
    health: HealthNames;
    reflection: boolean;
    trustedProxies?: readonly Network[];
    maxConnections?: number;
    /** Other than the standard ones, of one connection and for the time that a request may take to come. */
    limits?: { connection?: ServerOptions; requestMs?: number };
    onFinish: (call: FinishedCall) => void;
    /** Stands before the call boundary. */
    tracing?: ServerInterceptor | undefined;
  }) {
    this.#maxConnections = options.maxConnections ?? MAX_CONNECTIONS;
    this.#isTrustedProxy = networkTest(options.trustedProxies ?? []);
    const everyCall = {
      throughUnixSocket: () => this.#throughUnixSocket,
      isTrustedProxy: this.#isTrustedProxy,
      requestLimitMs: options.limits?.requestMs ?? REQUEST_LIMIT_MS,
      onFinish: options.onFinish,
    };
    const boundary = callBoundary({
      ...everyCall,
      isStopping: () => this.#stopping,
      openStreams: this.#openStreams,
    });
    this.#direct = new DirectCalls({
      ...everyCall,
      isOpen: () => !this.#stopping && options.tracing === undefined,
    });
    this.#server = new Server({
      ...connectionLimits,
      ...options.limits?.connection,
      interceptors: [...(options.tracing ? [options.tracing] : []), boundary],
    });
    const add: AddService = (service, handlers) =>
      serveMethods(this.#server, service, options.gate, handlers, this.#direct);
    options.services(add);
    this.#health = new Health(options.health);
    add(HealthService, this.#health.handlers());
    if (options.reflection) addReflection(foreignServices(this.#server));
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
        if (error) {
          reject(whyUnbound(error));
          return;
        }
        const most = this.#maxConnections;
        const mostPerAddress = Math.max(1, Math.floor(most * SHARE_OF_ONE_ADDRESS));
        guardConnections(this.#server, { most, mostPerAddress }, (socket) => this.#strangerAt(socket));
        this.#direct.standBefore(this.#server);
        resolve(address.kind === 'unix' ? address : { ...address, port });
      });
    });
  }

  /** Callers on this machine and those behind a trusted proxy share an address without being one (L10, L12). */
  #strangerAt({ remoteAddress }: Socket): string | null {
    const address = plainIp(remoteAddress ?? '');
    if (address === null || isLoopback(address) || this.#isTrustedProxy(address)) return null;
    return sourceOf(address);
  }

  setServing(group: HealthGroup, serving: boolean): void {
    this.#health.set(group, serving);
  }

  /**
   * Health turns NOT_SERVING at once, and after `delayMs` new calls are refused, streams end, running calls may end within
   * `graceMs`; then all is closed.
   */
  async stop({ delayMs, graceMs }: { delayMs: number; graceMs: number }): Promise<void> {
    this.#health.stop();
    // Without a delay, too, whoever watches health hears of it before the stream ends.
    await pause(delayMs);
    this.#stopping = true;
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

/** What Node said of the address, or of the first of several; grpc-js only has it in its own words. */
function whyUnbound(error: Error): Error {
  const said = /^No address added out of total \d+ resolved errors: \[(.+?)(,listen .*)?\]$/.exec(
    error.message,
  )?.[1];
  return said === undefined ? error : new Error(said, { cause: error });
}

function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
