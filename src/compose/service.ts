import { randomUUID } from 'node:crypto';

import { composeRpcs } from './services.ts';
import { listenAddresses } from '../config/listen-addresses.ts';
import type { Settings } from '../config/load-settings.ts';
import { budgetOf } from '../domain/operation-call.ts';
import { AuditRateLimiter, auditRateLimits } from '../features/audit/audit-rate-limiter.ts';
import { Rejected } from '../domain/rejection.ts';
import { authenticateBy } from '../rpc/authenticate.ts';
import { AUDIT_LIMIT_MS } from '../rpc/time-limits.ts';
import { TrustBroadcaster } from '../services/trust/trust-broadcaster.ts';
import type { FinishedCall } from '../rpc/call-context.ts';
import type { MethodGuard } from '../rpc/method-guard.ts';
import { consoleUrl } from './console-url.ts';
import { deduplicatedWarning } from './deduplicated-warning.ts';
import { reportClock } from './report-events.ts';
import { composeOAuth } from './oauth.ts';
import { composeTrust } from './trust.ts';
import { publicationOf } from '../http/oauth/metadata.ts';
import { openListenerTls } from './listener-tls.ts';
import { type BoundListeners, Listeners } from './listeners.ts';
import { openPolicy } from './policy.ts';
import { posternVersion } from './runtime-versions.ts';
import { isLocalAddress } from '../net/listen-address.ts';
import { databaseFaults, trustFaults } from './unready-reasons.ts';
import type { ServerTls } from '../net/tls/server-tls.ts';
import { ServiceCounts, serviceMetrics } from '../observability/metrics/service-metrics.ts';
import { CallLogger } from '../observability/call-log.ts';
import { ConnectionLog, connectionLineLimits } from '../observability/connection-log.ts';
import type { Logger } from '../observability/log.ts';
import { authenticateCaller } from '../features/authentication/authenticate-caller.ts';
import { ExpiryPurge } from '../features/maintenance/purge-expired.ts';
import { type DemoUser, makeDemoUser } from '../features/users/make-demo-user.ts';
import { SlowHashMonitor } from '../features/maintenance/slow-hash-monitor.ts';
import { DatabaseMonitor } from '../features/maintenance/database-monitor.ts';
import { composeTelemetry } from './telemetry.ts';
import { PasswordHasher } from '../passwords/password-hasher.ts';
import { CircuitBreaker } from '../database/circuit-breaker.ts';
import { AuditWriter } from '../features/audit/audit-writer.ts';
import { migrate, requireSchema } from '../database/migrate.ts';
import { openDatabase } from '../database/open-database.ts';
import { requirePrivileges } from '../database/service-role.ts';
import { messageOf } from '../database/pg-errors.ts';
import { ChangeListener, NOTIFIES_AFTER_COMMIT } from '../database/change-listener.ts';

const MAX_CONNECTIONS = 10;

/** A running service. */
export interface Service extends BoundListeners {
  /** The listeners' certificate; null in plaintext. */
  readonly tls: ServerTls | null;
  /** Whether the database is the embedded one, for a first look. */
  readonly isEmbedded: boolean;
  /** The demo user, created at the first start of embedded mode; null otherwise. */
  readonly demoUser: DemoUser | null;
  /** Whether RPCs are served over HTTP as well. */
  readonly servesHttpRpcs: boolean;
  /** Where a browser of this machine finds the console; null where it finds none. */
  readonly consoleUrl: string | null;
  /** Rejects new calls, waits for running ones, closes everything. */
  stop(): Promise<void>;
}

/**
 * Wires the service by hand, in reading order, and starts it; `compose/services.ts` wires the RPCs. Resolves once both
 * ports accept calls, even while the database is unreachable. Rejects with errors that do not go away by waiting;
 * `onFatal` receives such errors that occur later.
 */
export async function startService(
  settings: Settings,
  log: Logger,
  onFatal: (error: unknown) => void,
  linesLost: () => number,
): Promise<Service> {
  const cleanups: (() => Promise<void> | void)[] = [];
  let stopping = false;
  const stop = async () => {
    stopping = true;
    for (const cleanUp of cleanups.splice(0).reverse()) await cleanUp();
  };
  try {
    const instance = { id: randomUUID(), startedAt: new Date(), version: posternVersion() };
    const { telemetry, failures } = await composeTelemetry(settings, log, instance.id);
    const tracing = telemetry?.tracing;
    cleanups.push(() => telemetry?.stop());
    const policy = await openPolicy(settings, log);
    cleanups.push(() => policy?.close());
    const hasher = new PasswordHasher({ concurrency: settings.hashConcurrency, tracer: tracing });
    cleanups.push(() => hasher.stop());

    // Database
    const circuit = new CircuitBreaker();
    const warnOfDatabase = deduplicatedWarning(log, 'database');
    const opened = await openDatabase({
      databaseUrl: settings.databaseUrl,
      dataDir: settings.dataDir,
      ownerKind: 'service',
      createIfMissing: true,
      maxConnections: MAX_CONNECTIONS,
      report: (detail) => log.warn({ detail }, 'database'),
      warn: warnOfDatabase,
      circuit: { state: circuit, role: 'guarded' },
      session: NOTIFIES_AFTER_COMMIT,
      tracer: tracing,
    });
    const { database } = opened;
    cleanups.push(() => opened.close());
    // Again, before the database closes: a finished hash could otherwise start queries.
    cleanups.push(() => hasher.stop());

    const counts = new ServiceCounts();

    // Keys and trust
    const trust = composeTrust({
      settings,
      database,
      address: opened.address,
      circuit,
      warn: warnOfDatabase,
      counts,
      log,
    });
    cleanups.push(() => trust.stop());
    const { tokens, apiKeys, rootKey, audiences, clock } = trust;
    const verification = { ...tokens.verification, verifyApiKey: apiKeys.verify };
    const { secondFactorRoles } = settings;
    const authentication = { ...verification, database, apiAudience: tokens.apiAudience, secondFactorRoles };
    const slowHashes = new SlowHashMonitor(trust.database, hasher);
    const databaseMonitor = new DatabaseMonitor({
      async prepare() {
        const applied = settings.migrate === 'auto' ? await migrate(database) : [];
        if (settings.migrate === 'off') await requireSchema(database, { allowNewer: false });
        if (applied.length > 0) log.info({ migrations: applied }, 'migrated');
        await requirePrivileges(database);
        await trust.prepare();
      },
      async refresh() {
        await trust.refresh();
        await slowHashes.refresh(performance.now());
      },
      onChecked() {
        listeners.setServing(
          'verificationReady',
          trust.bundle.loaded && trust.bundle.ageMs <= verification.maxStalenessMs,
        );
        reportClock(log, clock);
      },
      report(event, cause) {
        if (event === 'store-reachable') log.info(event);
        else if (event === 'store-unusable') log.error({ cause }, event);
        else log.warn({ detail: unavailableDetail(cause) }, event);
        listeners.setServing('processReady', event === 'store-reachable');
      },
      onFatal,
    });
    cleanups.push(() => databaseMonitor.stop());
    const changeListener = new ChangeListener({
      address: opened.address,
      applicationName: `postern alarm ${process.pid}`,
      onChange: () => databaseMonitor.refreshNow(),
    });
    cleanups.push(() => changeListener.stop());
    trust.bundle.subscribe((change) => {
      if (change.kind === 'revocations' && change.isLocal) changeListener.notify();
    });

    const warnOfPurge = deduplicatedWarning(log, 'purge-failed');
    const purge = new ExpiryPurge({
      database,
      report(rows) {
        counts.purgedRows += rows;
        log.info({ rows }, 'purged-expired');
      },
      onFailed: (error) => warnOfPurge(unavailableDetail(error)),
    });
    cleanups.push(() => purge.stop());

    // Listeners
    const tls = await openListenerTls(settings, log);
    cleanups.push(() => tls.close());
    const warnOfRefusedForwarder = deduplicatedWarning(log, 'client-not-believed');
    const warnOfIssuerKeys = deduplicatedWarning(log, 'issuer-keys');
    const newRateLimiter = () => new AuditRateLimiter(auditRateLimits, () => performance.now());
    const callLogger = new CallLogger(log, newRateLimiter);
    cleanups.push(() => callLogger.logOmitted());
    const connectionLog = new ConnectionLog(
      log,
      new AuditRateLimiter(connectionLineLimits, () => performance.now()),
      [
        'grpc',
        'http',
        ...(settings.adminListen === null ? [] : (['admin'] as const)),
        ...(settings.consoleListen === null ? [] : (['console'] as const)),
      ],
    );
    const broadcaster = new TrustBroadcaster(trust.bundle, tokens.policy);
    const addRpcs = composeRpcs({
      settings,
      database,
      hasher,
      rootKey,
      tokens,
      apiKeys,
      audiences,
      broadcaster,
      policy,
      instance,
      readInstance: () => metrics.readInstance(),
      signingKeys: trust.signingKeys,
      nextRefresh: (call) => databaseMonitor.nextRefresh(call),
      onRepeat: () => (counts.repeats += 1),
      onDamagedHash: (userId, damage) =>
        log.warn({ user_id: userId, detail: damage }, 'stored-password-unreadable'),
      onUnreadableFactor: (factorId, fault) =>
        log.warn({ factor_id: factorId, detail: fault }, 'stored-factor-unreadable'),
      onProof: (kind, isRight) => (counts.secondFactors[kind][isRight ? 'ok' : 'refused'] += 1),
      onIssuerKeysFault: (issuerId, fault) => warnOfIssuerKeys(`issuer ${issuerId}: ${fault}`),
    });
    const auditWriter = new AuditWriter(database);
    const guard: MethodGuard = {
      authenticate: authenticateBy(
        { service: settings.tlsServiceIdentities, admin: settings.tlsAdminIdentities },
        (token, access, call) =>
          authenticateCaller(authentication, { token, access, address: call.origin.address }, call),
      ),
      writeAudit: (record) => auditWriter.write(budgetOf(AUDIT_LIMIT_MS, Date.now()), record),
      refusals: newRateLimiter(),
      onAuditWriteFailed: ({ event, origin }, cause) =>
        log.warn({ action: event.action, request_id: origin.requestId, cause }, 'refusal-not-audited'),
      onForwarderRefused: warnOfRefusedForwarder,
      onRefusedAfterEnd(refusal) {
        counts.calls.recordRefusalAfterEnd(refusal);
        callLogger.logRefusalAfterEnd(refusal);
      },
    };
    const onFinish = (call: FinishedCall) => {
      counts.calls.record(call);
      callLogger.logCall(call);
    };
    const verificationFaults = () => [
      ...(stopping ? ['the service is stopping'] : []),
      ...trustFaults(trust.bundle, verification.maxStalenessMs),
    ];
    const oauth = composeOAuth({ settings, database, rootKey, tokens, guard });
    const listeners: Listeners = new Listeners({
      settings,
      tls,
      addRpcs,
      oauth,
      guard,
      tracing,
      connectionLog,
      onFinish,
      content: {
        metrics: () => metrics.text(),
        openMetrics: () => metrics.openMetrics(),
        publication: publicationOf(settings.issuer, settings, tokens.jwks),
        unreadyReasons: () => [...databaseFaults(databaseMonitor), ...verificationFaults()],
        verificationFaults,
      },
    });
    const metrics = serviceMetrics({
      linesLost,
      exportFailures: failures,
      counts,
      listeners: { ...listeners.metrics, connectionLog },
      verification: { ...verification, cache: tokens.cache },
      hasher,
      pools: { service: database, trust: trust.database },
      circuit,
      reachable: () => databaseMonitor.state !== 'unreachable',
      clock,
      revocationDelay: trust.revocationDelay,
      broadcaster,
      keys: trust.keys,
      apiKeys: () => apiKeys.directory.size,
      keyRotationSeconds: settings.keyRotationSeconds,
      certificateExpiry: () => tls.server && tls.server.expiresAtMs / 1000,
    });
    cleanups.push(() => metrics.stop());
    telemetry?.exportMetrics(metrics.collectors);
    await Promise.all([databaseMonitor.start(), hasher.ready()]);
    changeListener.start();
    const bound = await listeners.listen((close) => cleanups.push(close));
    // Last: its password is printed only once, and must not be lost in a start that fails.
    const isEmbedded = !settings.production;
    const isAdmin = listenAddresses(settings).every(({ address }) => isLocalAddress(address));
    const mayMakeUser = isEmbedded && databaseMonitor.state === 'reachable';
    const demoUser = mayMakeUser ? await makeDemoUser({ database, hasher, isAdmin }) : null;
    const servesHttpRpcs = settings.httpRpc !== 'off';
    const ofConsole = settings.console ? (bound.console ?? bound.http) : null;
    const console = ofConsole && consoleUrl(ofConsole, { isSecured: tls.server !== null });
    if (console !== null) log.info({ url: console }, 'console');
    return { ...bound, tls: tls.server, isEmbedded, demoUser, servesHttpRpcs, consoleUrl: console, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A short reason why the database is unavailable, without the stack: the cause, and the message of the error behind it. */
function unavailableDetail(error: unknown): string {
  if (!(error instanceof Rejected) || error.rejection.kind !== 'store-unavailable') return String(error);
  const { cause } = error.rejection;
  const detail = error.cause === undefined ? cause : messageOf(error.cause);
  return detail === cause ? cause : `${cause}: ${detail}`;
}
