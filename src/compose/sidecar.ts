import { randomUUID } from 'node:crypto';

import { status } from '@grpc/grpc-js';

import {
  channelCredentials,
  channelOptions,
  isTarget,
  isLocalTarget,
  type Upstream,
} from '../client/channel.ts';
import { type ServiceCredential, serviceCredential } from '../client/service-credential.ts';
import { workloadCredential } from '../client/workload-credential.ts';
import type { Settings } from '../config/load-settings.ts';
import type { ClaimsPolicy } from '../domain/claims/claims.ts';
import type { CallOrigin } from '../domain/operation-call.ts';
import type { ListenAddress } from '../net/listen-address.ts';
import { AuditRateLimiter, auditRateLimits } from '../features/audit/audit-rate-limiter.ts';
import { TrustServiceClient } from '../generated/postern/v1/trust.ts';
import { CallCounts } from '../observability/metrics/call-counts.ts';
import { CallLogger } from '../observability/call-log.ts';
import { ConnectionLog, connectionLineLimits } from '../observability/connection-log.ts';
import {
  authorizationService,
  CHECK_INITIAL_LOAD_WAIT_MS,
  failClosedAuthorization,
} from '../services/ext-authz/authorization-service.ts';
import { GrpcServer } from '../grpc/grpc-server.ts';
import { verificationOnly, verificationService } from '../services/verification-service.ts';
import { HttpCalls } from '../http/http-calls.ts';
import { HttpServer } from '../http/http-server.ts';
import { RpcEndpoints } from '../http/rpc/rpc-endpoints.ts';
import { networkMatcher } from '../net/cidr.ts';
import type { FinishedCall } from '../rpc/call-context.ts';
import { deduplicatedWarning } from './deduplicated-warning.ts';
import { ownHosts } from './http-hosts.ts';
import { openListenerTls } from './listener-tls.ts';
import { openPolicy } from './policy.ts';
import type { Logger } from '../observability/log.ts';
import { type VerifyDependencies, verifyToken } from '../features/authentication/verify-token.ts';
import { watchClientCertificate } from '../net/tls/client-certificate-watch.ts';
import type { ServerTls } from '../net/tls/server-tls.ts';
import { sidecarMetrics } from '../observability/metrics/service-metrics.ts';
import { composeTelemetry } from './telemetry.ts';
import { TokenVerifier } from '../tokens/verify/token-verifier.ts';
import { VerifiedTokenCache } from '../tokens/verify/verified-token-cache.ts';
import { ApiKeyResolver } from '../trust/api-key-resolver.ts';
import { apiKeyLookUp } from '../trust/api-key-look-up.ts';
import { type SourceEvent, StreamTrustSource } from '../trust/stream-trust-source.ts';
import type { StreamEnd } from '../trust/watch-trust-call.ts';
import { codeName } from '../rpc/status-code.ts';
import { TrustBundle } from '../trust/trust-bundle.ts';

const SHUTDOWN_GRACE_MS = 5_000;
const HEALTH_INTERVAL_MS = 250;

/** A running sidecar. */
export interface Sidecar {
  readonly grpc: ListenAddress;
  readonly http: ListenAddress;
  /** The listeners' certificate; null in plaintext. */
  readonly tls: ServerTls | null;
  stop(): Promise<void>;
}

/** Why a sidecar must not connect to this upstream with these settings; null when it may. */
export function upstreamFault(
  settings: Settings,
  upstream: string,
): { message: string; advice: string } | null {
  if (!isTarget(upstream)) {
    return {
      message: '--upstream is not an address',
      advice: 'Write HOST:PORT, [IPv6]:PORT, unix:PATH, dns:///NAME:PORT or ipv4:ADDRESS:PORT,ADDRESS:PORT.',
    };
  }
  if (isLocalTarget(upstream)) return null;
  if (settings.upstreamCa !== null || settings.insecure) return null;
  return {
    message: `the connection to --upstream ${upstream} would leave this machine in plaintext`,
    advice: 'Set POSTERN_UPSTREAM_CA, or POSTERN_INSECURE=true if a proxy in between encrypts it.',
  };
}

/**
 * Wires a sidecar by hand, in reading order, and starts it. It serves VerifyToken, Envoy's ext_authz and health from a
 * trust bundle that the central service feeds. It needs no database and no master key, and starts while the service is
 * down.
 */
export async function startSidecar(
  settings: Settings,
  address: string,
  log: Logger,
  linesLost: () => number,
): Promise<Sidecar> {
  const upstream = upstreamOf(settings, address);
  const policy = await openPolicy(settings, log);
  const { telemetry, failures } = await composeTelemetry(settings, log, randomUUID());
  const tracing = telemetry?.tracing;

  // Trust
  const trust = new TrustBundle();
  const credentials = channelCredentials(upstream);
  const client = new TrustServiceClient(address, credentials, channelOptions(upstream));
  const credential = credentialOf(settings, upstream);
  const source = new StreamTrustSource({
    client,
    bundle: trust,
    credential,
    report: upstreamLogger(log, settings),
  });
  const warnOfLookUp = deduplicatedWarning(log, 'api-key-look-up-failed');
  const apiKeys = new ApiKeyResolver({
    bundle: trust,
    policy: () => source.policy,
    lookUp: apiKeyLookUp({
      client,
      credential,
      report: (failure) => warnOfLookUp(describeLoss(failure, settings)),
    }),
  });

  const stopCertificateWatch =
    settings.upstreamCert === null
      ? () => undefined
      : watchClientCertificate(settings.upstreamCert, (expiresAtMs) =>
          log.warn(
            { detail: 'POSTERN_UPSTREAM_CERT', expires: new Date(expiresAtMs).toISOString() },
            'certificate-expiring',
          ),
        );

  // Operations
  const cache = settings.tokenCacheBytes > 0 ? new VerifiedTokenCache(settings.tokenCacheBytes) : null;
  const verifier = new TokenVerifier({
    trust,
    policy: () => source.policy ?? EMPTY_POLICY,
    cache,
    nowMs: Date.now,
  });
  const maxStalenessMs = settings.maxStalenessSeconds * 1000;
  const verification: VerifyDependencies = {
    verifier,
    trust,
    maxStalenessMs,
    verifyApiKey: (presented) => apiKeys.verify(presented),
    nowMs: Date.now,
  };
  const extAuthzVerification: VerifyDependencies = {
    ...verification,
    initialLoadWaitMs: CHECK_INITIAL_LOAD_WAIT_MS,
  };
  const ready = () => trust.loaded && trust.ageMs <= maxStalenessMs;

  // Listeners
  const tls = await openListenerTls(settings, log);
  const counts = new CallCounts();
  const callLogger = new CallLogger(
    log,
    () => new AuditRateLimiter(auditRateLimits, () => performance.now()),
  );
  const connectionLog = new ConnectionLog(
    log,
    new AuditRateLimiter(connectionLineLimits, () => performance.now()),
  );
  const onFinish = (call: FinishedCall) => {
    counts.record(call);
    callLogger.logCall(call);
  };
  const verifications = verificationService(
    { verifyToken: (input) => verifyToken(verification, input) },
    isTrustedForwarderHere,
  );
  const httpRpcs = new RpcEndpoints(null, ownHosts(settings, settings.httpListen, tls));
  if (settings.httpRpc !== 'off') httpRpcs.add(verificationOnly, verifications);
  const isTrustedProxy = networkMatcher(settings.trustedProxies);
  const httpCalls = new HttpCalls({
    find: (path) => httpRpcs.find(path),
    corsOrigins: settings.corsOrigins,
    isTrustedProxy,
    onFinish,
    tracing,
  });
  const grpc = new GrpcServer({
    guard: null,
    services(add) {
      add(verificationOnly, verifications);
      add(
        failClosedAuthorization,
        authorizationService({
          get audiences() {
            return source.policy?.audiences ?? null;
          },
          policy,
          verifyToken: (input) => verifyToken(extAuthzVerification, input),
          isTrustedProxy,
          nowMs: Date.now,
        }),
      );
    },
    health: {
      processReady: ['', 'postern.v1.AuthService', 'envoy.service.auth.v3.Authorization'],
      verificationReady: [],
    },
    reflection: settings.reflection,
    maxConnections: settings.maxConnections,
    trustedProxies: settings.trustedProxies,
    tracing,
    onConnectionRefused: (refused) => connectionLog.refused('grpc', refused),
    onFinish,
  });
  const metrics = sidecarMetrics({
    linesLost,
    exportFailures: failures,
    calls: counts,
    listeners: { grpc: () => grpc, http: () => http, connectionLog },
    verification: { trust, cache, maxStalenessMs },
    isConnected: () => source.connected,
    certificateExpiry: () => tls.server && tls.server.expiresAtMs / 1000,
  });
  // A sidecar does nothing else.
  const verificationFaults = () => [
    ...(stopping ? ['the sidecar is stopping'] : []),
    ...(trust.loaded ? [] : ['nothing has been received from the upstream yet']),
    ...(trust.loaded && !ready() ? ['the known revocations are too old'] : []),
  ];
  const http = new HttpServer(
    {
      metrics: metrics.text,
      openMetrics: metrics.openMetrics,
      publication: null,
      unreadyReasons: verificationFaults,
      verificationFaults,
    },
    tls.forListener(settings.httpListen),
    {
      isTrustedProxy,
      calls: httpCalls,
      onConnectionRefused: (refused) => connectionLog.refused('http', refused),
    },
  );
  telemetry?.exportMetrics(metrics.collectors);
  source.start();
  const health = setInterval(() => grpc.setServing('processReady', ready()), HEALTH_INTERVAL_MS);
  let stopping = false;
  const stop = async () => {
    stopping = true;
    clearInterval(health);
    const limits = { delayMs: settings.shutdownDelaySeconds * 1000, graceMs: SHUTDOWN_GRACE_MS };
    await Promise.all([grpc.stop(limits), httpCalls.drain(limits)]);
    metrics.stop();
    source.stop();
    stopCertificateWatch();
    policy?.close();
    await http.stop();
    tls.close();
    callLogger.logOmitted();
    await telemetry?.stop();
  };
  try {
    const httpAddress = await http.listen(settings.httpListen, settings.socketAccess);
    const grpcAddress = await grpc.listen(
      settings.grpcListen,
      tls.forListener(settings.grpcListen),
      settings.socketAccess,
    );
    return { grpc: grpcAddress, http: httpAddress, tls: tls.server, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function upstreamOf(settings: Settings, address: string): Upstream {
  const { insecure, upstreamCa, upstreamCert, upstreamKey } = settings;
  if (upstreamCa === null) return { address, insecure };
  const tls = {
    ...(upstreamCa !== 'system' && { caFile: upstreamCa }),
    ...(upstreamCert !== null && { certFile: upstreamCert }),
    ...(upstreamKey !== null && { keyFile: upstreamKey }),
  };
  return { address, insecure, tls };
}

/**
 * Whose `client_address` counts at a sidecar: that of trusted proxies, as in the service, and of callers on this machine.
 * They are the programs that the sidecar verifies for, and an invented address would deceive only them.
 */
const isTrustedForwarderHere = ({ isTrustedForwarder, address }: CallOrigin) =>
  isTrustedForwarder || address === null;

/** The service account of the sidecar; null when the settings name none. */
function credentialOf(settings: Settings, upstream: Upstream): ServiceCredential | null {
  const { clientId, clientSecret, apiAudience, tokenFile, tokenServiceAccount } = settings;
  const audience = apiAudience === null ? {} : { audience: apiAudience };
  if (tokenFile !== null) {
    const account = tokenServiceAccount === null ? {} : { serviceAccount: tokenServiceAccount };
    return workloadCredential(upstream, { tokenFile, ...account, ...audience });
  }
  if (clientId === null || clientSecret === null) return null;
  return serviceCredential(upstream, {
    clientId,
    clientSecret: clientSecret.reveal(),
    ...audience,
  });
}

/** Logs the events of the trust source. */
function upstreamLogger(log: Logger, settings: Settings): (event: SourceEvent) => void {
  let warnOfLoss = deduplicatedWarning(log, 'upstream-lost');
  return (event) => {
    if (event.kind === 'connected') {
      log.info('upstream-connected');
      // A later loss is another outage, to be logged at once.
      warnOfLoss = deduplicatedWarning(log, 'upstream-lost');
    } else if (event.kind === 'unusable') log.error({ cause: event.error }, 'upstream-unusable');
    else warnOfLoss(describeLoss(event.end, settings));
  };
}

/** Says why the upstream does not serve this sidecar and, when it refuses the credential, what to set here. */
function describeLoss({ code, details }: StreamEnd, settings: Settings): string {
  const reason = `${codeName(code)}: ${details}`;
  if (code !== status.UNAUTHENTICATED && code !== status.PERMISSION_DENIED) return reason;
  if (settings.tokenFile !== null)
    return `${reason}; check that POSTERN_TOKEN_FILE holds a token for this service, whose identity is bound to a service account there ('postern issuer list', 'postern service bindings')`;
  if (settings.clientId !== null)
    return `${reason}; check POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET, with which this sidecar logs in`;
  if (settings.upstreamCert !== null)
    return `${reason}; list the identity in POSTERN_UPSTREAM_CERT in POSTERN_TLS_SERVICE_IDENTITIES of the service, or set POSTERN_TOKEN_FILE, or POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET, here`;
  return `this sidecar has no credential; set POSTERN_CLIENT_ID and POSTERN_CLIENT_SECRET to a service account that 'postern service create NAME' made, or POSTERN_TOKEN_FILE to a token of this workload, or POSTERN_UPSTREAM_CERT and POSTERN_UPSTREAM_KEY to a certificate that the service lists (${reason})`;
}

/** Not used before the first keys are loaded; if it were, it would accept no token. */
const EMPTY_POLICY: ClaimsPolicy = Object.freeze({
  issuer: '',
  audiences: [],
  maxLifetimeSeconds: 0,
  skewSeconds: 0,
});
