import type { Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { Server, ServerCredentials, type ServerOptions } from '@grpc/grpc-js';

import { formatListenAddress, type ListenAddress, unresolvedNameError } from '../net/listen-address.ts';
import { type Network, networkMatcher } from '../net/cidr.ts';
import { HealthService } from '../generated/grpc/health/v1/health.ts';
import type { FinishedCall } from '../rpc/call-context.ts';
import { callInterceptor } from './call-interceptor.ts';
import { addChannelz } from './channelz.ts';
import { guardConnections } from './limits/connection-limits.ts';
import { ConnectionSlots, connectionLimitsFor } from '../net/connection-slots.ts';
import type { StartTrace } from './fast-path/fast-call.ts';
import { FastPath } from './fast-path/fast-path.ts';
import { Health, type HealthGroup, type HealthNames } from '../services/health-service.ts';
import { addHttp2Options, wrapListen } from './grpc-js-internals.ts';
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
} from './limits/limits.ts';
import type { ReportRefusedConnection } from '../net/refused-connection.ts';
import { watchConnections } from './limits/refused-connections.ts';
import { limitedSource } from '../net/peer-address.ts';
import { addReflection } from './reflection.ts';
import { SessionOrigins } from './limits/session-origins.ts';
import { ResetLimit, RESET_OPTIONS } from './limits/reset-limit.ts';
import {
  bindWithMode,
  clearStaleSocket,
  openSocket,
  OWNER_ONLY,
  type SocketAccess,
} from '../net/unix-socket.ts';
import type { ServerTls } from '../net/tls/server-tls.ts';
import { TlsCredentials } from './tls-credentials.ts';
import type { AddService } from '../rpc/handlers.ts';
import type { Tracing } from '../observability/tracing/tracing.ts';
import { foreignServices, serveMethods } from './register-service.ts';
import { tracedGrpcCall, tracingInterceptor } from './tracing-interceptor.ts';
import { type OpenStreams, StreamSlots } from './limits/stream-slots.ts';
import { WaitingCalls } from './limits/waiting-calls.ts';

interface GrpcServerOptions {
  /** @param addGuardedBy adds with another guard than `guard` */
  services: (add: AddService, addGuardedBy: (guard: MethodGuard) => AddService) => void;
  /** Null where all methods are public and none is audited. */
  guard: MethodGuard | null;
  health: HealthNames;
  reflection: boolean;
  /** The files of the contract that reflection leaves out: those of services that this listener does not serve. */
  hiddenFiles?: readonly string[];
  /** `shown`: channelz shows this listener with its connections. `served`: this listener serves it. Neither without. */
  channelz?: 'shown' | 'served' | undefined;
  trustedProxies?: readonly Network[];
  maxConnections?: number;
  /** Replaces the standard limits of a connection, of slow callers and of open streams. */
  limits?: {
    connection?: ServerOptions;
    requestMs?: number;
    unreadMs?: number;
    streamIdleMs?: number;
    anonymous?: StreamLimits;
    watching?: StreamLimits;
  };
  onFinish: (call: FinishedCall) => void;
  /** Called for each connection that was closed before its first call. */
  onConnectionRefused?: ReportRefusedConnection;
  tracing?: Pick<Tracing, 'startCall'> | undefined;
  /** False where the answers of both paths are compared. */
  fastPath?: boolean;
}

/** The gRPC listener: the services of `method-table.ts`, health and reflection, all with the call interceptor. */
export class GrpcServer {
  readonly #server: Server;
  readonly #health: Health;
  readonly #fastPath: FastPath;
  readonly #stopStreams = new Set<() => void>();
  readonly #streams: OpenStreams;
  readonly #origins: SessionOrigins;
  readonly #resets = new ResetLimit();
  readonly #slots: ConnectionSlots;
  readonly #onConnectionRefused: ReportRefusedConnection | undefined;
  #stopping = false;
  #throughUnixSocket = false;
  #socketPath: string | null = null;

  constructor(options: GrpcServerOptions) {
    const { limits = {} } = options;
    this.#onConnectionRefused = options.onConnectionRefused;
    const isTrustedProxy = networkMatcher(options.trustedProxies ?? []);
    const limitedSourceOfSocket = (socket: Socket) => limitedSource(socket, isTrustedProxy);
    // A connection that was served may have calls in progress, so it is never evicted.
    this.#slots = new ConnectionSlots(
      connectionLimitsFor(options.maxConnections ?? MAX_CONNECTIONS),
      limitedSourceOfSocket,
      {
        evictsServed: false,
        onClosed: options.onConnectionRefused,
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
      onReset: (session: Http2Session | undefined) => this.#resets.count(session),
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
      isOpen: () => !this.#stopping && options.fastPath !== false,
      startTrace: this.#startTrace(options.tracing),
    });
    this.#server = new Server({
      ...connectionLimits,
      ...limits.connection,
      'grpc.enable_channelz': options.channelz === 'shown' ? 1 : 0,
      interceptors: [
        ...(options.tracing ? [tracingInterceptor(options.tracing, () => this.#socketPath)] : []),
        interceptor,
      ],
    });
    addHttp2Options(this.#server, RESET_OPTIONS);
    const addGuardedBy =
      (guard: MethodGuard | null): AddService =>
      (service, handlers) =>
        serveMethods(this.#server, service, guard, handlers, this.#fastPath);
    const add = addGuardedBy(options.guard);
    options.services(add, addGuardedBy);
    this.#health = new Health(options.health);
    add(HealthService, this.#health.handlers());
    if (options.channelz === 'served') addChannelz(this.#server);
    if (options.reflection) addReflection(foreignServices(this.#server), options.hiddenFiles ?? []);
  }

  /**
   * @param tls null for plaintext
   * @param access who may connect to a unix socket
   * @returns the bound address, with the port that the system chose
   */
  async listen(
    address: ListenAddress,
    tls: ServerTls | null,
    access: SocketAccess = OWNER_ONLY,
  ): Promise<ListenAddress> {
    this.#throughUnixSocket = address.kind === 'unix';
    if (address.kind === 'tcp') return this.#bind(address, tls);
    this.#socketPath = address.path;
    await clearStaleSocket(address.path);
    wrapListen(this.#server, (listen) => bindWithMode(access, listen));
    const bound = await this.#bind(address, tls);
    try {
      openSocket(address.path, access);
    } catch (error) {
      this.#server.forceShutdown();
      throw error;
    }
    return bound;
  }

  #bind(address: ListenAddress, tls: ServerTls | null): Promise<ListenAddress> {
    const target = formatListenAddress(address);
    const credentials = tls === null ? ServerCredentials.createInsecure() : new TlsCredentials(tls);
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(target, credentials, (error, port) => {
        if (error) {
          reject(bindError(error, address));
          return;
        }
        guardConnections(this.#server, this.#slots);
        this.#origins.watch(this.#server);
        if (this.#onConnectionRefused)
          watchConnections(this.#server, {
            origins: this.#origins,
            slots: this.#slots,
            report: this.#onConnectionRefused,
          });
        this.#fastPath.install(this.#server);
        resolve(address.kind === 'unix' ? address : { ...address, port });
      });
    });
  }

  #startTrace(tracing: GrpcServerOptions['tracing']): StartTrace | undefined {
    return (
      tracing &&
      ((call, session, header) =>
        tracing.startCall(tracedGrpcCall(call, session?.socket, this.#socketPath), header))
    );
  }

  /** The number of connections that were closed because of the connection limits. */
  get closedConnections(): number {
    return this.#slots.closed;
  }

  /** The number of connections that were retired because too many of their calls were reset. */
  get retiredConnections(): number {
    return this.#resets.retired;
  }

  /** The number of open streams of each kind. */
  get openStreams(): Readonly<Record<keyof OpenStreams, number>> {
    const { anonymous, watching } = this.#streams;
    return { anonymous: anonymous.open, watching: watching.open };
  }

  setServing(group: HealthGroup, serving: boolean): void {
    this.#health.set(group, serving);
  }

  /**
   * Health reports NOT_SERVING at once. After `delayMs`, new calls are refused and streams end. Other calls in progress
   * may finish within `graceMs`; then all connections are closed.
   */
  async stop({ delayMs, graceMs }: { delayMs: number; graceMs: number }): Promise<void> {
    this.#health.stop();
    // Even a delay of 0 lets the streams of Health/Watch send NOT_SERVING before they end.
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

/** The error of Node for the address, or for the first of several. grpc-js wraps it in a text of its own. */
function bindError(error: Error, address: ListenAddress): Error {
  if (address.kind === 'tcp' && error.message.startsWith('Name resolution failed'))
    return unresolvedNameError(address.host, error);
  const reason = /^No address added out of total \d+ resolved errors: \[(.+?)(,listen .*)?\]$/.exec(
    error.message,
  )?.[1];
  return reason === undefined ? error : new Error(reason, { cause: error });
}
