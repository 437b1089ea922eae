import type { ApiKeys } from './api-keys.ts';
import type { Tokens } from './tokens.ts';
import type { Settings } from '../config/load-settings.ts';
import type { SecondFactorName } from '../domain/rejection.ts';
import type { CallBudget } from '../domain/operation-call.ts';
import { PageCursors } from '../domain/paging.ts';
import { tokenRoomOf } from '../domain/claims/token-room.ts';
import type { Audiences } from '../features/audiences/audiences.ts';
import type { Instance, InstanceReading } from '../features/overview/instance-reading.ts';
import { TotalReader } from '../features/overview/total-reader.ts';
import { RepeatRateLimiter, repeatRateLimits } from '../features/sessions/repeat-rate-limiter.ts';
import { SecretDigests } from '../crypto/keyed-digests.ts';
import { AdminServiceService } from '../generated/postern/v1/admin.ts';
import { AuthServiceService } from '../generated/postern/v1/auth.ts';
import { TrustServiceService } from '../generated/postern/v1/trust.ts';
import { adminService } from '../services/admin/admin-service.ts';
import type { AdminDependencies } from '../services/admin/admin-dependencies.ts';
import { authService } from '../services/auth-service.ts';
import {
  authorizationService,
  CHECK_INITIAL_LOAD_WAIT_MS,
  failClosedAuthorization,
} from '../services/ext-authz/authorization-service.ts';
import type { AddService } from '../rpc/handlers.ts';
import type { TrustBroadcaster } from '../services/trust/trust-broadcaster.ts';
import { resolveApiKey } from '../features/api-keys/resolve-api-key.ts';
import { apiKeyGrant, trustService } from '../services/trust/trust-service.ts';
import { ConcurrencyLimit } from '../domain/concurrency/concurrency-limit.ts';
import { LoginThrottle } from '../features/authentication/throttle/login-throttle.ts';
import type { RootKey } from '../features/root-key/root-key.ts';
import { PASSKEY_FAILURE_RATE, PASSKEY_LOGIN_LIMITS } from '../features/authentication/login-with-passkey.ts';
import { Passkeys } from '../features/second-factors/passkeys/passkeys.ts';
import { TotpSecrets } from '../features/second-factors/totp/totp-secrets.ts';
import { SessionRotator } from '../features/sessions/session-rotator.ts';
import { sessionPolicyOf } from '../features/sessions/session-policy.ts';
import { networkMatcher } from '../net/cidr.ts';
import { grantOfApiKey } from '../features/token-exchange/grant-of-api-key.ts';
import { KeyedLimiter } from '../domain/concurrency/keyed-limiter.ts';
import { KeyedRateLimiter } from '../domain/concurrency/token-bucket.ts';
import { EXCHANGE_LIMITS, EXCHANGE_RATE } from '../features/token-exchange/exchange-token.ts';
import { fetchIssuerKeys } from '../features/workloads/fetch-issuer-keys.ts';
import { IssuerKeys } from '../features/workloads/issuer-keys.ts';
import { resolveCertificate } from '../features/workloads/resolve-certificate.ts';
import { resolveOutsideToken } from '../features/workloads/resolve-outside-token.ts';
import { type VerifyDependencies, verifyToken } from '../features/authentication/verify-token.ts';
import { ownTokenGrant } from '../features/token-exchange/own-token-grant.ts';
import type { PolicyFile } from '../policy/policy-file.ts';
import type { PasswordHasher } from '../passwords/password-hasher.ts';
import type { Database } from '../database/database.ts';

/** Calls that change one session run one at a time, since each waiting for a locked row would take up to the lock timeout. */
const SESSION_LIMITS = { concurrency: 1, maxWaiting: 500, maxWaitMs: 1_000 };

/** What the services of the RPCs are built from. */
export interface RpcParts {
  readonly settings: Settings;
  readonly database: Database;
  readonly hasher: PasswordHasher;
  readonly rootKey: RootKey;
  readonly tokens: Tokens;
  readonly apiKeys: ApiKeys;
  readonly audiences: Audiences;
  readonly broadcaster: TrustBroadcaster;
  /** Of Check; null without one. */
  readonly policy: PolicyFile | null;
  readonly signingKeys: AdminDependencies['signingKeys'];
  readonly instance: Instance;
  /** The state and the counters of this instance. */
  readonly readInstance: () => InstanceReading;
  /** Waits for a refresh that shows the present state of the database. */
  readonly nextRefresh: (call: CallBudget) => Promise<void>;
  /** Called when a refresh token is repeated within its grace time. */
  readonly onRepeat: () => void;
  /** Called for a stored password hash that cannot be read. */
  readonly onDamagedHash: (userId: string, damage: string) => void;
  /** Called for a factor whose secret does not open. */
  readonly onUnreadableFactor: (factorId: string, fault: string) => void;
  /** Called for each second factor that was checked. */
  readonly onProof: (kind: SecondFactorName, isRight: boolean) => void;
  /** Called when the keys of a trusted issuer could not be fetched. */
  readonly onIssuerKeysFault: (issuerId: string, fault: string) => void;
}

/** Wires every RPC of the service to its operation, and every operation to its dependencies. */
export function composeRpcs(parts: RpcParts): (add: AddService) => void {
  const { settings, database, hasher, rootKey, nextRefresh, onRepeat, onDamagedHash } = parts;
  const { issuer, policy, apiAudience, jwks, nowMs } = parts.tokens;
  const { apiKeys } = parts;
  const verification = { ...parts.tokens.verification, verifyApiKey: apiKeys.verify };
  const { trust, verifier } = verification;
  const extAuthzVerification: VerifyDependencies = {
    ...verification,
    initialLoadWaitMs: CHECK_INITIAL_LOAD_WAIT_MS,
  };
  // No more than the hash queue takes: a login that it refused would have used the database in vain.
  const logins = new ConcurrencyLimit(hasher.capacity, (loginsBefore) => hasher.expectedMs(loginsBefore));
  const throttle = new LoginThrottle(database, () => rootKey.derive('login throttle'), logins);
  const repeatRateLimiter = new RepeatRateLimiter(repeatRateLimits(settings.refreshGraceSeconds * 1000), () =>
    performance.now(),
  );
  const digests = new SecretDigests((purpose) => rootKey.derive(purpose));
  const cursors = new PageCursors(() => rootKey.derive('page cursor'));
  const apiKeyMaking = {
    apiKeyDigests: apiKeys.digests,
    maxApiKeys: settings.maxApiKeys,
    secondFactorRoles: settings.secondFactorRoles,
    audienceFor: (requested: string) => issuer.audienceFor(requested),
  };
  const passwords = { hasher, policy: { minLength: settings.passwordMinLength } };
  const sessionPolicy = sessionPolicyOf(settings);
  const rotator = new SessionRotator(database, {
    ...sessionPolicy,
    auditRefreshes: settings.auditRefreshes,
    get audiences() {
      return issuer.audiences;
    },
  });
  const issuerKeys = new IssuerKeys({
    fetch: (trusted) => fetchIssuerKeys(trusted, { networks: settings.issuerNetworks }),
    nowMs: () => performance.now(),
    onFault: ({ id }, fault) => parts.onIssuerKeysFault(id, fault),
  });
  return (add) => {
    add(
      AuthServiceService,
      authService({
        ...apiKeyMaking,
        apiKeys: apiKeys.directory,
        cursors,
        database,
        trust,
        hasher,
        passwords,
        throttle,
        sessionLimiter: new KeyedLimiter(SESSION_LIMITS),
        repeatRateLimiter,
        rotator,
        policy: sessionPolicy,
        refreshTokens: () => rootKey.tokens(),
        authentications: () => rootKey.authentications(),
        digests,
        issuer,
        issuerName: settings.issuer,
        verifier,
        verification,
        apiAudience,
        jwks,
        nextRefresh,
        nowMs,
        onRepeat,
        onDamagedHash,
        onUnreadableFactor: parts.onUnreadableFactor,
        onProof: parts.onProof,
        totpSecrets: new TotpSecrets(() => rootKey.derive('totp')),
        passkeys: new Passkeys(settings.passkeys, (purpose) => rootKey.derive(purpose), nowMs),
        passkeyLimiter: new KeyedLimiter(PASSKEY_LOGIN_LIMITS),
        passkeyFailures: new KeyedRateLimiter(PASSKEY_FAILURE_RATE, () => performance.now()),
        exchange: {
          database,
          issuer,
          trust,
          nowMs,
          issuerName: settings.issuer,
          limiter: new KeyedLimiter(EXCHANGE_LIMITS),
          rateLimiter: new KeyedRateLimiter(EXCHANGE_RATE, () => performance.now()),
          resolvers: {
            certificate: resolveCertificate({ database, issuer }),
            apiKey: grantOfApiKey(apiKeys.verification),
            ownToken: ownTokenGrant({
              database,
              issuer,
              verifyToken: (token) => verifyToken(verification, { token, audience: '' }),
              apiAudience,
              nowMs,
            }),
            outsideToken: resolveOutsideToken({
              database,
              issuer,
              digests,
              issuerKeys,
              nowMs,
            }),
          },
        },
      }),
    );
    const resolve = async (keySha256: Uint8Array) =>
      apiKeyGrant(await resolveApiKey(apiKeys.verification, keySha256));
    add(TrustServiceService, trustService(trust, policy, resolve, parts.broadcaster));
    add(
      AdminServiceService,
      adminService({
        ...apiKeyMaking,
        database,
        trust,
        passwords,
        get tokenRoom() {
          return tokenRoomOf({ ...settings, audiences: issuer.audiences });
        },
        audiences: parts.audiences,
        issuerName: settings.issuer,
        digests,
        cursors,
        signingKeys: parts.signingKeys,
        overview: {
          instance: parts.instance,
          readInstance: parts.readInstance,
          totals: new TotalReader(database),
        },
      }),
    );
    add(
      failClosedAuthorization,
      authorizationService({
        get audiences() {
          return issuer.audiences;
        },
        policy: parts.policy,
        verifyToken: (input) => verifyToken(extAuthzVerification, input),
        isTrustedProxy: networkMatcher(settings.trustedProxies),
        nowMs,
      }),
    );
  };
}
