import type { Settings } from './config.ts';
import { budgetOf } from './domain/call-budget.ts';
import { defaultSkewSeconds } from './domain/claims.ts';
import { type ListenAddress } from './domain/listen-address.ts';
import { PageCursors } from './domain/page-cursor.ts';
import { RefusalBudget, refusalBudgetPolicy } from './domain/refusal-budget.ts';
import { SecretDigests } from './domain/secret-digests.ts';
import { AdminServiceService } from './generated/postern/v1/admin.ts';
import { AuthServiceService } from './generated/postern/v1/auth.ts';
import { adminService } from './grpc/admin-service.ts';
import { authService } from './grpc/auth-service.ts';
import { authorizationService, failClosedAuthorization } from './grpc/ext-authz/authorization-service.ts';
import { TrustServiceService } from './generated/postern/v1/trust.ts';
import { trustService } from './grpc/trust-service.ts';
import { authenticateBy } from './grpc/authenticate.ts';
import { GrpcServer } from './grpc/grpc-server.ts';
import { TrustBroadcast } from './grpc/trust-broadcast.ts';
import { HttpServer } from './http/http-server.ts';
import { openListenerTls } from './listener-tls.ts';
import type { ServerTls } from './tls/server-tls.ts';
import { ServiceCounts, serviceMetrics } from './http/metrics/service-metrics.ts';
import { describeCall } from './grpc/describe-call.ts';
import type { Logger } from './log.ts';
import { AccessTokenIssuer } from './operations/access-token-issuer.ts';
import { AdmissionLimit } from './operations/admission-limit.ts';
import { authenticateCaller } from './operations/authenticate-caller.ts';
import { changePassword } from './operations/change-password.ts';
import { issueServiceToken } from './operations/issue-service-token.ts';
import { sharedSecretOnly, storedKeys } from './operations/keys-at-work.ts';
import { ExpiryPurge } from './operations/expiry-purge.ts';
import { login } from './operations/login.ts';
import { LoginThrottle } from './operations/login-throttle.ts';
import { type DemoUser, makeDemoUser } from './operations/make-demo-user.ts';
import { masterKeysOf } from './operations/master-keys.ts';
import { keyPolicyOf } from './operations/key-policy.ts';
import { RefreshRoot } from './operations/refresh-root.ts';
import { refreshToken } from './operations/refresh-token.ts';
import { resetPassword } from './operations/reset-password.ts';
import { revokeToken } from './operations/revoke-token.ts';
import { sessionPolicyOf } from './operations/session-policy.ts';
import { Turns } from './operations/turns.ts';
import { SlowHashWatch } from './operations/slow-hash-watch.ts';
import { StoreWatch } from './operations/store-watch.ts';
import { verifyToken } from './operations/verify-token.ts';
import { openTracing } from './tracing/open-tracing.ts';
import { PasswordHasher } from './passwords/password-hasher.ts';
import { Circuit } from './store/circuit.ts';
import { insertAuditEvent } from './store/audit-events.ts';
import { migrate, requireCurrentSchema } from './store/migrate.ts';
import { Database } from './store/database.ts';
import { openDatabase } from './store/open-database.ts';
import { RevocationFeed } from './store/revocation-feed.ts';
import { TrustAlarm } from './store/trust-alarm.ts';
import { createSharedSecretSigner, importSharedSecret } from './tokens/shared-secret-key.ts';
import { TokenVerifier } from './tokens/token-verifier.ts';
import { VerifiedTokenCache } from './tokens/verified-token-cache.ts';
import { TrustBundle } from './trust/trust-bundle.ts';

const MAX_CONNECTIONS = 10;
/** Of its own, so that slow queries of others never delay the news of revocations (D11). */
const TRUST_CONNECTIONS = 2;
/** One at a time changes a session; a row that somebody else holds costs each turn the lock timeout. */
const SESSION_TURNS = { width: 1, mostWaiting: 500, longestWaitMs: 1_000 };
/** To write down a call that has spent its own time. */
const AUDIT_LIMIT_MS = 1_000;
const LOGIN_RETRY_MS = 1_000;
/** A probe that hangs gives its connection back before the next but one needs it, so that recovery is seen in time. */
const TRUST_WATCHDOG_MS = 1_000;
const SHUTDOWN_GRACE_MS = 8_000;
/** Envoy waits 200 ms for a check. */
const CHECK_FIRST_NEWS_WAIT_MS = 100;

/** A running service. */
export interface Service {
  readonly grpc: ListenAddress;
  readonly http: ListenAddress;
  /** The listeners' certificate; null in plaintext. */
  readonly tls: ServerTls | null;
  /** Set at the first start of embedded mode. */
  readonly demoUser: DemoUser | null;
  /** Refuses new calls, lets running ones end, closes everything. */
  stop(): Promise<void>;
}

/**
 * Wires the service by hand, in reading order, and starts it. Resolves once both ports accept calls, whether or not
 * the database is there. Rejects with what waiting cannot mend; `onFatal` gets the same when it shows only later.
 */
export async function startService(
  settings: Settings,
  log: Logger,
  onFatal: (error: unknown) => void,
): Promise<Service> {
  const cleanups: (() => Promise<void> | void)[] = [];
  let stopping = false;
  const stop = async () => {
    stopping = true;
    for (const cleanUp of cleanups.splice(0).reverse()) await cleanUp();
  };
  try {
    const tracing = await openTracing(settings.traceEndpoint, 'postern');
    cleanups.push(() => tracing?.stop());
    const hasherStarting = PasswordHasher.start({
      concurrency: settings.hashConcurrency,
      tracer: tracing,
    });
    hasherStarting.catch(() => undefined);

    // Store
    const circuit = new Circuit();
    const opened = await openDatabase({
      databaseUrl: settings.databaseUrl,
      dataDir: settings.dataDir,
      holder: 'service',
      maxConnections: MAX_CONNECTIONS,
      report: (line) => log.warn({ detail: line }, 'database'),
      circuit: { state: circuit, role: 'guarded' },
      tracer: tracing,
    });
    const { database } = opened;
    cleanups.push(() => opened.close());
    const hasher = await hasherStarting;
    cleanups.push(() => hasher.stop());

    // Keys and trust
    const trust = new TrustBundle();
    const trustDatabase = new Database({
      address: opened.address,
      applicationName: `postern trust ${process.pid}`,
      maxConnections: TRUST_CONNECTIONS,
      warn: (detail) => log.warn({ detail }, 'database'),
      circuit: { state: circuit, role: 'probing' },
      watchdogMs: TRUST_WATCHDOG_MS,
    });
    cleanups.push(() => trustDatabase.close());
    const feed = new RevocationFeed(trustDatabase, trust);
    const sharedSecret = settings.secret && (await importSharedSecret(settings.secret));
    const sharedSecretSigner = sharedSecret && createSharedSecretSigner(sharedSecret);
    const legacyDoor = settings.legacyDoor && {
      key: await importSharedSecret(settings.legacyDoor.secret),
      untilMs: settings.legacyDoor.untilMs,
    };
    const refreshRoot = new RefreshRoot();
    const masterKeys = masterKeysOf(settings);
    const keys =
      settings.algorithm === 'HS256'
        ? sharedSecretOnly(trustDatabase, trust)
        : storedKeys(trustDatabase, trust, keyPolicyOf(settings, settings.algorithm), masterKeys, (step) =>
            log.info({ step: step.kind, ...('kid' in step && { kid: step.kid }) }, 'signing-keys'),
          );
    const slowHashes = new SlowHashWatch(trustDatabase, hasher);
    const watch = new StoreWatch({
      async prepare() {
        const applied = settings.migrate === 'auto' ? await migrate(database) : [];
        if (settings.migrate === 'off') await requireCurrentSchema(database);
        if (applied.length > 0) log.info({ migrations: applied }, 'migrated');
        await refreshRoot.prepare(database, masterKeys);
        await keys.prepare();
      },
      async refresh() {
        await Promise.all([feed.refresh(), keys.refresh()]);
        await slowHashes.refresh(performance.now());
      },
      afterwards: () => grpc.setServing('verification', trust.loaded && trust.ageMs <= maxStalenessMs),
      report(event, cause) {
        if (event === 'store-reachable') log.info(event);
        else if (event === 'store-unusable') log.error({ cause }, event);
        else log.warn({ cause }, event);
        grpc.setServing('everything', event === 'store-reachable');
      },
      onFatal,
    });
    cleanups.push(() => watch.stop());
    const alarm = new TrustAlarm({
      address: opened.address,
      applicationName: `postern alarm ${process.pid}`,
      ring: () => watch.wake(),
    });
    cleanups.push(() => alarm.stop());

    const counts = new ServiceCounts();
    const purge = new ExpiryPurge({
      database,
      report(rows) {
        counts.purgedRows += rows;
        log.info({ rows }, 'purged-expired');
      },
    });
    cleanups.push(() => purge.stop());

    // Operations
    const policy = {
      issuer: settings.issuer,
      audiences: settings.audiences,
      maxLifetimeSeconds: settings.accessTokenTtlSeconds,
      skewSeconds: defaultSkewSeconds,
    };
    const cache = settings.tokenCacheBytes > 0 ? new VerifiedTokenCache(settings.tokenCacheBytes) : null;
    const verifier = new TokenVerifier({
      trust,
      policy: () => policy,
      sharedSecret,
      legacyDoor,
      cache,
      nowMs: Date.now,
    });
    const issuer = new AccessTokenIssuer({
      issuer: settings.issuer,
      audiences: settings.audiences,
      lifetimeSeconds: settings.accessTokenTtlSeconds,
      signer: () => sharedSecretSigner ?? trust.keys().signer,
    });
    const maxStalenessMs = settings.maxStalenessSeconds * 1000;
    const verification = { verifier, trust, maxStalenessMs };
    const throttle = new LoginThrottle(database, () => refreshRoot.derive('login throttle'));
    // Those that may wait for a hash, and as many more as may be asking the database.
    const logins = new AdmissionLimit(hasher.capacity + MAX_CONNECTIONS, () =>
      Math.max(LOGIN_RETRY_MS, hasher.load.averageMs * hasher.capacity),
    );
    const sessions = {
      database,
      trust,
      turns: new Turns(SESSION_TURNS),
      policy: sessionPolicyOf(settings),
      refreshTokens: () => refreshRoot.tokens(),
    };
    const onDamagedHash = (userId: string, damage: string) =>
      log.warn({ user_id: userId, detail: damage }, 'stored-password-unreadable');
    const digests = new SecretDigests((purpose) => refreshRoot.derive(purpose));
    const passwords = { hasher, policy: { minLength: settings.passwordMinLength } };
    const onRepeat = () => (counts.repeats += 1);
    const jwks = () => ({ ...trust.keys().jwks, maxAgeSeconds: settings.jwksMaxAgeSeconds });

    // Listeners
    const tls = await openListenerTls(settings, log);
    cleanups.push(() => tls.close());
    const broadcast = new TrustBroadcast(trust, policy);
    const grpc = new GrpcServer({
      services(add) {
        add(
          AuthServiceService,
          authService({
            login: (input, call) =>
              logins.admit(() =>
                login({ ...sessions, hasher, issuer, onDamagedHash, throttle }, input, call),
              ),
            verifyToken: (input) => verifyToken(verification, input),
            refreshToken: (input, call) => refreshToken({ ...sessions, issuer, onRepeat }, input, call),
            revokeToken: (input, call) => revokeToken({ ...sessions, verifier }, input, call),
            issueServiceToken: (input, call) =>
              issueServiceToken({ database, digests, issuer, trust }, input, call),
            changePassword: (input, call) =>
              logins.admit(() => changePassword({ ...sessions, passwords, issuer, throttle }, input, call)),
            resetPassword: (input, call) =>
              resetPassword({ database, passwords, digests, trust, throttle }, input, call),
            getJwks: jwks,
          }),
        );
        add(TrustServiceService, trustService(trust, policy, broadcast));
        add(
          AdminServiceService,
          adminService({
            database,
            trust,
            passwords,
            digests,
            cursors: new PageCursors(() => refreshRoot.derive('page cursor')),
            signingKeys:
              settings.algorithm === 'HS256'
                ? null
                : { policy: keyPolicyOf(settings, settings.algorithm), masterKey: masterKeys[0] },
          }),
        );
        add(
          failClosedAuthorization,
          authorizationService({
            audiences: settings.audiences,
            verifyToken: (input) => verifyToken(verification, input, CHECK_FIRST_NEWS_WAIT_MS),
          }),
        );
      },
      health: {
        everything: ['', 'postern.v1.AuthService', 'postern.v1.AdminService'],
        verification: ['postern.v1.TrustService', 'envoy.service.auth.v3.Authorization'],
      },
      gate: {
        authenticate: authenticateBy(
          { service: settings.tlsServiceIdentities, admin: settings.tlsAdminIdentities },
          (token, access, call) => authenticateCaller({ ...verification, database }, { token, access }, call),
        ),
        writeAudit: (record) =>
          database.run(budgetOf(AUDIT_LIMIT_MS, Date.now()), (db) => insertAuditEvent(db, record)),
        refusals: new RefusalBudget(refusalBudgetPolicy, () => performance.now()),
        onUnwritten: ({ event, origin }, cause) =>
          log.warn({ action: event.action, request_id: origin.requestId, cause }, 'refusal-not-audited'),
      },
      reflection: settings.reflection,
      trustedProxies: settings.trustedProxies,
      maxConnections: settings.maxConnections,
      tracing: tracing?.interceptor,
      onFinish(call) {
        counts.calls.record(call);
        describeCall(log, call);
      },
    });
    const metrics = serviceMetrics({
      counts,
      verification: { trust, cache, maxStalenessMs },
      hasher,
      pools: { service: database, trust: trustDatabase },
      circuit,
      reachable: () => watch.state !== 'unreachable',
      revocationDelay: feed.delay,
      broadcast,
      keys: keys.stages,
      keyRotationSeconds: settings.keyRotationSeconds,
      certificateExpiry: () => tls.server && tls.server.expiresAtMs / 1000,
    });
    cleanups.push(() => metrics.stop());
    const http = new HttpServer(
      {
        metrics: metrics.text,
        publication: { issuer: settings.issuer, jwks },
        unreadiness: () => [
          ...(stopping ? ['the service is stopping'] : []),
          ...(watch.state === 'unreachable' ? ['the database does not answer'] : []),
          ...(watch.state === 'unusable' ? ['the database holds what cannot be used: see the log'] : []),
          ...(trust.loaded ? [] : ['no signing keys and revocations yet']),
          ...(trust.loaded && trust.ageMs > maxStalenessMs ? ['the news of revocations are too old'] : []),
        ],
      },
      tls.of(settings.httpListen),
    );
    await watch.start();
    alarm.start();
    const httpAddress = await http.listen(settings.httpListen);
    cleanups.push(() => http.stop());
    const grpcAddress = await grpc.listen(settings.grpcListen, tls.of(settings.grpcListen));
    cleanups.push(() =>
      grpc.stop({ delayMs: settings.shutdownDelaySeconds * 1000, graceMs: SHUTDOWN_GRACE_MS }),
    );
    // Last: its password is told once, and must not be lost with a start that failed.
    const isFirstStart = !settings.production && watch.state === 'reachable';
    const demoUser = isFirstStart ? await makeDemoUser(database, hasher) : null;
    return { grpc: grpcAddress, http: httpAddress, tls: tls.server, demoUser, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
