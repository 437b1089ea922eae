import { randomUUID } from 'node:crypto';

import { channelCredentials, channelOptions, isTarget, isLocalTarget } from '../../client/channel.ts';
import type { Settings } from '../../config/load-settings.ts';
import type { ClaimsPolicy } from '../../domain/claims/claims.ts';
import type { CallOrigin } from '../../domain/operation-call.ts';
import type { ListenAddress } from '../../net/listen-address.ts';
import { AuditRateLimiter, auditRateLimits } from '../../features/audit/audit-rate-limiter.ts';
import { TrustServiceClient } from '../../generated/postern/v1/trust.ts';
import { CallCounts } from '../../observability/metrics/call-counts.ts';
import { CallLogger } from '../../observability/call-log.ts';
import { ConnectionLog, connectionLineLimits } from '../../observability/connection-log.ts';
import {
  authorizationService,
  CHECK_INITIAL_LOAD_WAIT_MS,
  failClosedAuthorization,
} from '../../services/ext-authz/authorization-service.ts';
import { GrpcServer } from '../../grpc/grpc-server.ts';
import { verificationOnly, verificationService } from '../../services/verification-service.ts';
import { HttpCalls } from '../../http/http-calls.ts';
import { HttpServer } from '../../http/http-server.ts';
import { RpcEndpoints } from '../../http/rpc/rpc-endpoints.ts';
import { networkMatcher } from '../../net/cidr.ts';
import type { FinishedCall } from '../../rpc/call-context.ts';
import { ChannelzListener } from '../channelz.ts';
import { deduplicatedWarning } from '../deduplicated-warning.ts';
import { ownHosts } from '../http-hosts.ts';
import { openListenerTls } from '../listener-tls.ts';
import { openPolicy } from '../policy.ts';
import { composeRelay } from './relay.ts';
import { credentialOf, describeLoss, upstreamLogger, upstreamOf } from './upstream.ts';
import type { Logger } from '../../observability/log.ts';
import { type VerifyDependencies, verifyToken } from '../../features/authentication/verify-token.ts';
import { watchClientCertificate } from '../../net/tls/client-certificate-watch.ts';
import type { ServerTls } from '../../net/tls/server-tls.ts';
import { sidecarMetrics } from '../../observability/metrics/service-metrics.ts';
import { composeTelemetry } from '../telemetry.ts';
import { TokenVerifier } from '../../tokens/verify/token-verifier.ts';
import { VerifiedTokenCache } from '../../tokens/verify/verified-token-cache.ts';
import { RelayPath } from '../../trust/relay-path.ts';
import { RelayedStream } from '../../trust/relayed-stream.ts';
import { ApiKeyResolver } from '../../trust/api-key-resolver.ts';
import { apiKeyLookUp } from '../../trust/api-key-look-up.ts';
import { StreamTrustSource } from '../../trust/stream-trust-source.ts';
import { TrustBundle } from '../../trust/trust-bundle.ts';

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

/** What a sidecar connects to. */
export interface Upstreams {
  /** Serves WatchTrust: the service, or a relay. */
  readonly trust: string;
  /** Issues the tokens for it: the service. */
  readonly tokens: string;
}

/** Why a sidecar must not connect to this upstream with these settings; null when it may. */
export function upstreamFault(
  settings: Settings,
  upstream: string,
  option = '--upstream',
): { message: string; advice: string } | null {
  if (!isTarget(upstream)) {
    return {
      message: `${option} is not an address`,
      advice: 'Write HOST:PORT, [IPv6]:PORT, unix:PATH, dns:///NAME:PORT or ipv4:ADDRESS:PORT,ADDRESS:PORT.',
    };
  }
  if (isLocalTarget(upstream)) return null;
  if (settings.upstreamCa !== null || settings.insecure) return null;
  return {
    message: `the connection to ${option} ${upstream} would leave this machine in plaintext`,
    advice: 'Set POSTERN_UPSTREAM_CA, or POSTERN_INSECURE=true if a proxy in between encrypts it.',
  };
}

/** The same for both addresses. */
export function upstreamsFault(settings: Settings, { trust, tokens }: Upstreams) {
  return upstreamFault(settings, trust) ?? upstreamFault(settings, tokens, '--token-upstream');
}

/**
 * Wires a sidecar by hand, in reading order, and starts it. It serves VerifyToken, Envoy's ext_authz and health from a
 * trust bundle that the central service feeds, and as a relay WatchTrust. It needs no database and no master key, and
 * starts while the service is down.
 */
export async function startSidecar(
  settings: Settings,
  upstreams: Upstreams,
  log: Logger,
  linesLost: () => number,
): Promise<Sidecar> {
  const upstream = upstreamOf(settings, upstreams.trust);
  const policy = await openPolicy(settings, log);
  const { telemetry, failures } = await composeTelemetry(settings, log, randomUUID());
  const tracing = telemetry?.tracing;

  // Trust
  const trust = new TrustBundle();
  const relayPath = settings.relay ? new RelayPath() : null;
  const credentials = channelCredentials(upstream);
  const client = new TrustServiceClient(upstreams.trust, credentials, channelOptions(upstream));
  const credential = credentialOf(settings, upstreamOf(settings, upstreams.tokens));
  const source = new StreamTrustSource({
    client,
    bundle: trust,
    credential,
    report: upstreamLogger(log, settings),
    relay: relayPath && { path: relayPath, stream: new RelayedStream(trust) },
  });
  const claimsPolicy = () => source.policy ?? EMPTY_POLICY;
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
    policy: claimsPolicy,
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
  const relay =
    relayPath &&
    composeRelay({
      settings,
      path: relayPath,
      policy: claimsPolicy,
      verification,
      apiKeys,
      onRefusedAfterEnd(refusal) {
        counts.recordRefusalAfterEnd(refusal);
        callLogger.logRefusalAfterEnd(refusal);
      },
    });
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
  const healthNames = {
    processReady: [
      ...['', 'postern.v1.AuthService', 'envoy.service.auth.v3.Authorization'],
      ...(relay ? ['postern.v1.TrustService'] : []),
    ],
    verificationReady: [],
  };
  const channelz = new ChannelzListener(settings, { health: healthNames, onFinish });
  const grpc = new GrpcServer({
    guard: null,
    channelz: channelz.ofOthers,
    services(add, addGuardedBy) {
      relay?.addTo(addGuardedBy);
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
    health: healthNames,
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
    watchers: relay && relay.watchers,
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
  const health = setInterval(() => {
    for (const listener of [grpc, channelz]) listener.setServing('processReady', ready());
  }, HEALTH_INTERVAL_MS);
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
    await channelz.stop();
    tls.close();
    callLogger.logOmitted();
    await telemetry?.stop();
  };
  try {
    await channelz.listen();
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

/**
 * Whose `client_address` counts at a sidecar: that of trusted proxies, as in the service, and of callers on this machine.
 * They are the programs that the sidecar verifies for, and an invented address would deceive only them.
 */
const isTrustedForwarderHere = ({ isTrustedForwarder, address }: CallOrigin) =>
  isTrustedForwarder || address === null;

/** Not used before the first keys are loaded; if it were, it would accept no token. */
const EMPTY_POLICY: ClaimsPolicy = Object.freeze({
  issuer: '',
  audiences: [],
  maxLifetimeSeconds: 0,
  skewSeconds: 0,
});
