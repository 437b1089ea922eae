import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js';

import { formatListenAddress, type ListenAddress } from '../net/listen-address.ts';
import { type Network, networkMatcher } from '../net/cidr.ts';
import { HealthService } from '../generated/grpc/health/v1/health.ts';
import type { FinishedCall } from '../rpc/call-context.ts';
import { callInterceptor } from './call-interceptor.ts';
import { guardConnections } from './connection-limits.ts';
import { ConnectionSlots, connectionLimitsFor } from '../net/connection-slots.ts';
import { FastPath } from './fast-path/fast-path.ts';
import { Health, type HealthGroup, type HealthNames } from '../services/health-service.ts';
import { addHttp2Options } from './grpc-js-internals.ts';
import type { MethodGuard } from '../rpc/method-guard.ts';
import {
  ANONYMOUS_STREAMS,
  connectionLimits,
  MAX_CONNECTIONS,
  REQUEST_LIMIT_MS,
  STREAM_IDLE_MS,
  type StreamLimits,
  UNREAD_LIMIT_MS,
  WATCHING_STREAMS,
} from './limits.ts';
import { limitedSource } from '../net/peer-address.ts';
import { addReflection } from './reflection.ts';
import { SessionOrigins } from './session-origins.ts';
import { ResetLimit, RESET_OPTIONS } from './reset-limit.ts';
import { clearStaleSocket } from '../net/unix-socket.ts';
import type { ServerTls } from '../net/tls/server-tls.ts';
import { TlsCredentials } from './tls-credentials.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';
import type { Tracing } from '../observability/tracing/open-telemetry.ts';
import { foreignServices, serveMethods } from './register-service.ts';
import { tracingInterceptor } from './tracing-interceptor.ts';
import { type OpenStreams, StreamSlots } from './stream-slots.ts';
import { WaitingCalls } from './waiting-calls.ts';

/** Adds one of our services; the handlers are held against its generated definition. */
export type AddService = <Service extends object>(
  service: Service,
  handlers: ServiceHandlers<Service>,
) => void;

/** The gRPC listener: services of `method-table.ts`, health and reflection behind one call boundary. */
export class GrpcServer {
  readonly #server: Server;
  readonly #health: Health;
  readonly #fastPath: FastPath;
  readonly #stopStreams = new Set<() => void>();
  readonly #streams: OpenStreams;
  readonly #origins: SessionOrigins;
  readonly #resets = new ResetLimit();
  readonly #slots: ConnectionSlots;
  #stopping = false;
  #throughUnixSocket = false;

  constructor(options: {
    services: (add: AddService) => void;
    /** Absent where only public methods are served of which nothing is audited. */
    guard?: MethodGuard;
    health: HealthNames;
    reflection: boolean;
    trustedProxies?: readonly Network[];
    maxConnections?: number;
    /** Other than the standard ones: of one connection, of callers that are slow or say nothing, and of open streams. */
    limits?: {
      connection?: ServerOptions;
      requestMs?: number;
      unreadMs?: number;
      streamIdleMs?: number;
      anonymous?: StreamLimits;
      watching?: StreamLimits;
    };
    onFinish: (call: FinishedCall) => void;
    tracing?: Pick<Tracing, 'startCall'> | undefined;
  }) {
    const { limits = {} } = options;
    const isTrustedProxy = networkMatcher(options.trustedProxies ?? []);
    const limitedSourceOfSocket = (socket: Socket) => limitedSource(socket, isTrustedProxy);
    // Whoever was served may be in the middle of a call.
    this.#slots = new ConnectionSlots(
      connectionLimitsFor(options.maxConnections ?? MAX_CONNECTIONS),
      limitedSourceOfSocket,
      {
        evictsServed: false,
      },
    );
    this.#origins = new SessionOrigins(limitedSourceOfSocket);
    const limitedSourceOf = (session: Http2Session) => this.#origins.limitedSourceOf(session);
    this.#streams = {
      anonymous: new StreamSlots(limits.anonymous ?? ANONYMOUS_STREAMS, limitedSourceOf),
      watching: new StreamSlots(limits.watching ?? WATCHING_STREAMS, limitedSourceOf),
    };
    const sharedOptions = {
      throughUnixSocket: () => this.#throughUnixSocket,
      isTrustedProxy,
      awaitingRequest: new WaitingCalls(limits.requestMs ?? REQUEST_LIMIT_MS, this.#streams.anonymous),
      awaitingReader: new WaitingCalls(limits.unreadMs ?? UNREAD_LIMIT_MS, null),
      onReset: (session: Http2Session | undefined) => this.#resets.note(session),
      onFinish: options.onFinish,
    };
    const interceptor = callInterceptor({
      ...sharedOptions,
      isStopping: () => this.#stopping,
      stopStreams: this.#stopStreams,
      streams: this.#streams,
      streamIdleMs: limits.streamIdleMs ?? STREAM_IDLE_MS,
    });
    this.#fastPath = new FastPath({
      ...sharedOptions,
      peerOf: (session) => this.#origins.peerOf(session),
      isOpen: () => !this.#stopping && options.tracing === undefined,
    });
    this.#server = new Server({
      ...connectionLimits,
      ...limits.connection,
      interceptors: [...(options.tracing ? [tracingInterceptor(options.tracing)] : []), interceptor],
    });
    addHttp2Options(this.#server, RESET_OPTIONS);
    const add: AddService = (service, handlers) =>
      serveMethods(this.#server, service, options.guard, handlers, this.#fastPath);
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
    const target = formatListenAddress(address);
    const credentials = tls === null ? ServerCredentials.createInsecure() : new TlsCredentials(tls);
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(target, credentials, (error, port) => {
        if (error) {
          reject(bindError(error));
          return;
        }
        guardConnections(this.#server, this.#slots);
        this.#origins.watch(this.#server);
        this.#fastPath.install(this.#server);
        resolve(address.kind === 'unix' ? address : { ...address, port });
      });
    });
  }

  /** How many connections were closed for want of room. */
  get closedConnections(): number {
    return this.#slots.closed;
  }

  /** How many connections were retired because too many calls on them were reset. */
  get retiredConnections(): number {
    return this.#resets.retired;
  }

  /** How many streams of each kind are open. */
  get openStreams(): Readonly<Record<keyof OpenStreams, number>> {
    const { anonymous, watching } = this.#streams;
    return { anonymous: anonymous.open, watching: watching.open };
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
    for (const end of [...this.#stopStreams]) end();
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
function bindError(error: Error): Error {
  const reason = /^No address added out of total \d+ resolved errors: \[(.+?)(,listen .*)?\]$/.exec(
    error.message,
  )?.[1];
  return reason === undefined ? error : new Error(reason, { cause: error });
}
