import type { Settings } from '../config/load-settings.ts';
import { AdminServiceService } from '../generated/postern/v1/admin.ts';
import { AuthServiceService } from '../generated/postern/v1/auth.ts';
import { GrpcServer } from '../grpc/grpc-server.ts';
import { HttpCalls } from '../http/http-calls.ts';
import { HttpServer } from '../http/http-server.ts';
import type { HttpContent } from '../http/published-documents.ts';
import { RpcEndpoints } from '../http/rpc/rpc-endpoints.ts';
import { networkMatcher } from '../net/cidr.ts';
import type { ListenAddress } from '../net/listen-address.ts';
import type { ConnectionLog } from '../observability/connection-log.ts';
import type { Listeners as ListenerMetrics } from '../observability/metrics/call-collectors.ts';
import type { Tracing } from '../observability/tracing/open-telemetry.ts';
import type { FinishedCall } from '../rpc/call-context.ts';
import type { AddService } from '../rpc/handlers.ts';
import type { MethodGuard } from '../rpc/method-guard.ts';
import type { HealthGroup } from '../services/health-service.ts';
import type { ListenerTls } from './listener-tls.ts';
import type { composeOAuth } from './oauth.ts';

const SHUTDOWN_GRACE_MS = 8_000;

/** Where the service listens. */
export interface BoundListeners {
  readonly grpc: ListenAddress;
  readonly http: ListenAddress;
}

/** The listeners of the service: every RPC over gRPC, and over HTTP what the settings name. */
export class Listeners {
  readonly #settings: Settings;
  readonly #tls: ListenerTls;
  readonly #grpc: GrpcServer;
  readonly #http: HttpServer;
  readonly #httpCalls: HttpCalls;

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
    const httpRpcs = new RpcEndpoints(guard);
    const httpServices = httpServicesOf(settings);
    this.#grpc = new GrpcServer({
      services: (add) =>
        addRpcs((service, handlers) => {
          add(service, handlers);
          if (httpServices.includes(service)) httpRpcs.add(service, handlers);
          oauth.add(service, handlers);
        }),
      health: {
        processReady: ['', 'postern.v1.AuthService', 'postern.v1.AdminService'],
        verificationReady: ['postern.v1.TrustService', 'envoy.service.auth.v3.Authorization'],
      },
      guard,
      reflection: settings.reflection,
      trustedProxies: settings.trustedProxies,
      maxConnections: settings.maxConnections,
      tracing,
      onConnectionRefused: (refused) => connectionLog.refused('grpc', refused),
      onFinish,
    });
    this.#httpCalls = new HttpCalls({
      find: (path) => oauth.find(path) ?? httpRpcs.find(path),
      corsOrigins: settings.corsOrigins,
      isTrustedProxy,
      onFinish,
      tracing,
    });
    this.#http = new HttpServer(parts.content, tls.forListener(settings.httpListen), {
      isTrustedProxy,
      calls: this.#httpCalls,
      onConnectionRefused: (refused) => connectionLog.refused('http', refused),
    });
  }

  /** What the metrics show of the listeners. */
  get metrics(): Pick<ListenerMetrics, 'grpc' | 'http'> {
    return { grpc: () => this.#grpc, http: () => this.#http };
  }

  setServing(group: HealthGroup, serving: boolean): void {
    this.#grpc.setServing(group, serving);
  }

  /** Binds the addresses, the one of HTTP first. @param onBound called after each with what closes it */
  async listen(onBound: (close: () => Promise<void>) => void): Promise<BoundListeners> {
    const { httpListen, grpcListen, socketAccess, shutdownDelaySeconds } = this.#settings;
    const http = await this.#http.listen(httpListen, socketAccess);
    onBound(() => this.#http.stop());
    const grpc = await this.#grpc.listen(grpcListen, this.#tls.forListener(grpcListen), socketAccess);
    onBound(async () => {
      const limits = { delayMs: shutdownDelaySeconds * 1000, graceMs: SHUTDOWN_GRACE_MS };
      await Promise.all([this.#grpc.stop(limits), this.#httpCalls.drain(limits)]);
    });
    return { grpc, http };
  }
}

/** The services whose unary methods are served over HTTP as well. */
function httpServicesOf({ httpRpc }: Settings): readonly object[] {
  if (httpRpc === 'off') return [];
  return httpRpc === 'auth' ? [AuthServiceService] : [AuthServiceService, AdminServiceService];
}
