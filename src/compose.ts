import type { Settings } from './config.ts';
import { defaultSkewSeconds } from './domain/claims.ts';
import { type ListenAddress } from './domain/listen-address.ts';
import { bearerToken } from './grpc/bearer.ts';
import { GrpcServer } from './grpc/grpc-server.ts';
import { HttpServer } from './http/http-server.ts';
import { describeCall } from './grpc/describe-call.ts';
import type { Logger } from './log.ts';
import { AccessTokenIssuer } from './operations/access-token-issuer.ts';
import { authenticateCaller } from './operations/authenticate-caller.ts';
import { sharedSecretOnly, storedKeys } from './operations/keys-at-work.ts';
import { login } from './operations/login.ts';
import { type DemoUser, makeDemoUser } from './operations/make-demo-user.ts';
import { masterKeysOf } from './operations/master-keys.ts';
import { keyPolicyOf } from './operations/key-policy.ts';
import { RefreshRoot } from './operations/refresh-root.ts';
import { refreshToken } from './operations/refresh-token.ts';
import { revokeToken } from './operations/revoke-token.ts';
import { sessionPolicyOf } from './operations/session-policy.ts';
import { SessionTurns } from './operations/session-turns.ts';
import { StoreWatch } from './operations/store-watch.ts';
import { verifyToken } from './operations/verify-token.ts';
import { PasswordHasher } from './passwords/password-hasher.ts';
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
const SHUTDOWN_GRACE_MS = 8_000;

/** A running service. */
export interface Service {
  readonly grpc: ListenAddress;
  readonly http: ListenAddress;
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
  const stop = async () => {
    for (const cleanUp of cleanups.splice(0).reverse()) await cleanUp();
  };
  try {
    const hasherStarting = PasswordHasher.start({ concurrency: settings.hashConcurrency });
    hasherStarting.catch(() => undefined);

    // Store
    const opened = await openDatabase({
      databaseUrl: settings.databaseUrl,
      dataDir: settings.dataDir,
      holder: 'service',
      maxConnections: MAX_CONNECTIONS,
      report: (line) => log.warn({ detail: line }, 'database'),
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
        : storedKeys(trustDatabase, trust, keyPolicyOf(settings, settings.algorithm), masterKeys);
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
        trust.purge(Date.now() / 1000);
      },
      report(event, cause) {
        if (event === 'store-reachable') log.info(event);
        else log.warn({ cause }, event);
        grpc.setServing(event === 'store-reachable');
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

    // Operations
    const policy = {
      issuer: settings.issuer,
      audiences: settings.audiences,
      maxLifetimeSeconds: settings.accessTokenTtlSeconds,
      skewSeconds: defaultSkewSeconds,
    };
    const verifier = new TokenVerifier({
      trust,
      policy: () => policy,
      sharedSecret,
      legacyDoor,
      cache: settings.tokenCacheBytes > 0 ? new VerifiedTokenCache(settings.tokenCacheBytes) : null,
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
    const turns = new SessionTurns();
    const sessions = {
      database,
      trust,
      policy: sessionPolicyOf(settings),
      refreshTokens: () => refreshRoot.tokens(),
    };
    const jwks = () => ({ ...trust.keys().jwks, maxAgeSeconds: settings.jwksMaxAgeSeconds });

    // Listeners
    const grpc = new GrpcServer({
      operations: {
        login: (input, call) => login({ ...sessions, hasher, issuer }, input, call),
        verifyToken: (input) => verifyToken(verification, input),
        refreshToken: (input, call) => refreshToken({ ...sessions, issuer, turns }, input, call),
        revokeToken: (input, call) => revokeToken({ ...sessions, verifier }, input, call),
        getJwks: jwks,
      },
      authenticate: (access, call) => {
        const token = bearerToken(call.authorization);
        return authenticateCaller({ ...verification, database }, { token, access }, call);
      },
      trust: { bundle: trust, policy },
      reflection: settings.reflection,
      onFinish: (call) => describeCall(log, call),
    });
    const http = new HttpServer({
      issuer: settings.issuer,
      jwks,
      unreadiness: () => [
        ...(watch.reachable ? [] : ['the database does not answer']),
        ...(trust.loaded ? [] : ['no signing keys and revocations yet']),
        ...(trust.loaded && trust.ageMs > maxStalenessMs ? ['the news of revocations are too old'] : []),
      ],
    });
    await watch.start();
    alarm.start();
    const demoUser = settings.production || !watch.reachable ? null : await makeDemoUser(database, hasher);
    const httpAddress = await http.listen(settings.httpListen);
    cleanups.push(() => http.stop());
    const grpcAddress = await grpc.listen(settings.grpcListen);
    cleanups.push(() => grpc.stop(SHUTDOWN_GRACE_MS));
    return { grpc: grpcAddress, http: httpAddress, demoUser, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
