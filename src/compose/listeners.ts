import type { Settings } from '../config/load-settings.ts';
import { AdminServiceService } from '../generated/postern/v1/admin.ts';
import { AuthServiceService } from '../generated/postern/v1/auth.ts';
import { GrpcServer } from '../grpc/grpc-server.ts';
import { HttpCalls } from '../http/http-calls.ts';
import { HttpServer } from '../http/http-server.ts';
import type { HttpContent, Pages } from '../http/published-documents.ts';
import { RpcEndpoints } from '../http/rpc/rpc-endpoints.ts';
import { networkMatcher } from '../net/cidr.ts';
import type { ListenAddress } from '../net/listen-address.ts';
import type { ConnectionLog } from '../observability/connection-log.ts';
import type { Listeners as ListenerMetrics } from '../observability/metrics/call-collectors.ts';
import type { Tracing } from '../observability/tracing/tracing.ts';
import type { FinishedCall } from '../rpc/call-context.ts';
import type { AddService } from '../rpc/handlers.ts';
import type { MethodGuard } from '../rpc/method-guard.ts';
import type { HealthGroup } from '../services/health-service.ts';
import { ChannelzListener } from './channelz.ts';
import type { ListenerTls } from './listener-tls.ts';
import { composeConsole } from './console.ts';
import { ownHosts } from './http-hosts.ts';
import type { composeOAuth } from './oauth.ts';

const SHUTDOWN_GRACE_MS = 8_000;

/** Where the service listens. */
export interface BoundListeners {
  readonly grpc: ListenAddress;
  readonly http: ListenAddress;
  /** Null where `grpc` serves AdminService. */
  readonly admin: ListenAddress | null;
  /** Null where `http` serves the console, or nothing does. */
  readonly console: ListenAddress | null;
}

/** What reflection leaves out where AdminService is not served, and on the listener that serves it alone with AuthService. */
const ADMIN_FILES = ['postern/v1/admin.proto'];
const NOT_ADMIN_FILES = ['postern/v1/trust.proto', 'envoy/service/auth/v3/external_auth.proto'];

/** The clients of administrators are few; each listener takes so many connections at most. */
const MAX_ADMIN_CONNECTIONS = 1_000;

/** A service of Postern, to be added to a transport. */
interface ServedService {
  readonly service: object;
  readonly addTo: (add: AddService) => void;
}

/** A listener of HTTP with the calls that it runs. */
interface HttpListener {
  readonly server: HttpServer;
  readonly calls: HttpCalls;
}

/**
 * The listeners of the service: every RPC over gRPC, and over HTTP what the settings name. With POSTERN_ADMIN_LISTEN,
 * AdminService is served there alone, so that it need not be reachable from where tokens are verified. With
 * POSTERN_CONSOLE_LISTEN, the console is served there alone, with the RPCs that its pages call.
 */
export class Listeners {
  readonly #settings: Settings;
  readonly #tls: ListenerTls;
  readonly #grpc: GrpcServer;
  readonly #channelz: ChannelzListener;
  /** Null where `#grpc` serves AdminService. */
  readonly #admin: GrpcServer | null;
  readonly #http: HttpListener;
  /** Null where `#http` serves the console, or nothing does. */
  readonly #console: HttpListener | null;

  constructor(parts: {
    readonly settings: Settings;
    readonly tls: ListenerTls;
    /** Adds every service of Postern, once. */
    readonly addRpcs: (add: AddService) => void;
    readonly oauth: ReturnType<typeof composeOAuth>;
    readonly guard: MethodGuard;
    readonly tracing: Tracing | undefined;
    readonly connectionLog: ConnectionLog;
    readonly onFinish: (call: FinishedCall) => void;
    readonly content: HttpContent;
  }) {
    const { settings, tls, addRpcs, oauth, guard, tracing, connectionLog, onFinish } = parts;
    this.#settings = settings;
    this.#tls = tls;
    const isTrustedProxy = networkMatcher(settings.trustedProxies);
    const httpRpcs = new RpcEndpoints(guard, ownHosts(settings, settings.httpListen, tls));
    const consoleHosts = ownHosts(settings, settings.consoleListen ?? settings.httpListen, tls);
    const consolePages = composeConsole({ settings, guard, hosts: consoleHosts });
    const services: ServedService[] = [];
    addRpcs((service, handlers) => {
      services.push({ service, addTo: (add) => add(service, handlers) });
      oauth.add(service, handlers);
      consolePages?.add(service, handlers);
    });
    const hasAdminListener = settings.adminListen !== null;
    const isPublic = ({ service }: ServedService) => !hasAdminListener || service !== AdminServiceService;
    for (const served of services.filter(isPublic))
      if (httpServicesOf(settings).includes(served.service)) served.addTo(httpRpcs.add);
    const common = {
      guard,
      reflection: settings.reflection,
      trustedProxies: settings.trustedProxies,
      tracing,
      onFinish,
    };
    const adminNames = ['postern.v1.AuthService', 'postern.v1.AdminService'];
    const health = {
      processReady: ['', ...(hasAdminListener ? ['postern.v1.AuthService'] : adminNames)],
      verificationReady: ['postern.v1.TrustService', 'envoy.service.auth.v3.Authorization'],
    };
    this.#channelz = new ChannelzListener(settings, { health, onFinish });
    const channelz = this.#channelz.ofOthers;
    this.#grpc = new GrpcServer({
      ...common,
      services: (add) => services.filter(isPublic).forEach(({ addTo }) => addTo(add)),
      health,
      channelz,
      hiddenFiles: hasAdminListener ? ADMIN_FILES : [],
      maxConnections: settings.maxConnections,
      onConnectionRefused: (refused) => connectionLog.refused('grpc', refused),
    });
    // AuthService as well, so that an administrator can log in here.
    const isForAdmin = ({ service }: ServedService) =>
      service === AdminServiceService || service === AuthServiceService;
    this.#admin = hasAdminListener
      ? new GrpcServer({
          ...common,
          services: (add) => services.filter(isForAdmin).forEach(({ addTo }) => addTo(add)),
          health: { processReady: ['', ...adminNames], verificationReady: [] },
          channelz,
          hiddenFiles: NOT_ADMIN_FILES,
          maxConnections: Math.min(settings.maxConnections, MAX_ADMIN_CONNECTIONS),
          onConnectionRefused: (refused) => connectionLog.refused('admin', refused),
        })
      : null;
    const httpListener = (
      name: 'http' | 'console',
      address: ListenAddress,
      content: HttpContent,
      served: Pick<ConstructorParameters<typeof HttpCalls>[0], 'find' | 'corsOrigins'> & {
        pages: Pages | null;
      },
    ): HttpListener => {
      const { find, corsOrigins, pages } = served;
      const calls = new HttpCalls({ find, corsOrigins, isTrustedProxy, onFinish, tracing });
      const server = new HttpServer(content, tls.forListener(address), {
        isTrustedProxy,
        calls,
        pages,
        onConnectionRefused: (refused) => connectionLog.refused(name, refused),
      });
      return { server, calls };
    };
    const { consoleListen, httpListen, corsOrigins } = settings;
    const consoleOnHttp = consoleListen === null ? consolePages : null;
    this.#http = httpListener('http', httpListen, parts.content, {
      find: (path) => oauth.find(path) ?? consoleOnHttp?.find(path) ?? httpRpcs.find(path),
      corsOrigins,
      pages: consoleOnHttp?.pages ?? null,
    });
    this.#console = null;
    if (consoleListen !== null && consolePages) {
      const consoleRpcs = new RpcEndpoints(guard, consoleHosts);
      for (const served of services.filter(isForAdmin)) served.addTo(consoleRpcs.add);
      // Key set and metrics are on the HTTP listener.
      const healthOnly = { ...parts.content, publication: null, metrics: null };
      this.#console = httpListener('console', consoleListen, healthOnly, {
        find: (path) => consolePages.find(path) ?? consoleRpcs.find(path),
        corsOrigins: [],
        pages: consolePages.pages,
      });
    }
  }

  /** What the metrics show of the listeners. */
  get metrics(): Pick<ListenerMetrics, 'grpc' | 'admin' | 'http' | 'console'> {
    return {
      grpc: () => this.#grpc,
      admin: () => this.#admin,
      http: () => this.#http.server,
      console: () => this.#console?.server ?? null,
    };
  }

  setServing(group: HealthGroup, serving: boolean): void {
    this.#grpc.setServing(group, serving);
    this.#admin?.setServing(group, serving);
    this.#channelz.setServing(group, serving);
  }

  /** Binds the addresses, that of HTTP first and that of verifiers last. @param onBound called after each with what closes it */
  async listen(onBound: (close: () => Promise<void>) => void): Promise<BoundListeners> {
    const { httpListen, consoleListen, adminListen, grpcListen, socketAccess } = this.#settings;
    const bindHttp = async ({ server }: HttpListener, address: ListenAddress) => {
      const bound = await server.listen(address, socketAccess);
      onBound(() => server.stop());
      return bound;
    };
    // Closed last, so that it shows what a stop waits for.
    await this.#channelz.listen();
    onBound(() => this.#channelz.stop());
    const http = await bindHttp(this.#http, httpListen);
    const ofConsole = consoleListen && this.#console ? await bindHttp(this.#console, consoleListen) : null;
    const bind = (server: GrpcServer, address: ListenAddress) =>
      server.listen(address, this.#tls.forListener(address), socketAccess);
    // Until all are bound there is nothing to drain.
    const admin = adminListen && this.#admin ? await bind(this.#admin, adminListen) : null;
    const grpc = await bind(this.#grpc, grpcListen).catch(async (error: unknown) => {
      await this.#admin?.stop({ delayMs: 0, graceMs: 0 });
      throw error;
    });
    onBound(() => this.#drain());
    return { grpc, http, admin, console: ofConsole };
  }

  /** All at once: what one listener drains must not wait for another. */
  async #drain(): Promise<void> {
    const limits = {
      delayMs: this.#settings.shutdownDelaySeconds * 1000,
      graceMs: SHUTDOWN_GRACE_MS,
    };
    await Promise.all([
      this.#grpc.stop(limits),
      this.#admin?.stop(limits),
      this.#http.calls.drain(limits),
      this.#console?.calls.drain(limits),
    ]);
  }
}

/** The services whose unary methods are served over HTTP as well. */
function httpServicesOf({ httpRpc }: Settings): readonly object[] {
  if (httpRpc === 'off') return [];
  return httpRpc === 'auth' ? [AuthServiceService] : [AuthServiceService, AdminServiceService];
}
