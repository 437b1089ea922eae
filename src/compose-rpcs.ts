import type { Tokens } from './compose-tokens.ts';
import type { Settings } from './config.ts';
import type { CallBudget } from './domain/call-budget.ts';
import { PageCursors } from './domain/page-cursor.ts';
import { RepeatBudget, repeatBudgetPolicy } from './domain/repeat-budget.ts';
import { SecretDigests } from './domain/secret-digests.ts';
import { AdminServiceService } from './generated/postern/v1/admin.ts';
import { AuthServiceService } from './generated/postern/v1/auth.ts';
import { TrustServiceService } from './generated/postern/v1/trust.ts';
import { adminService } from './grpc/admin-service.ts';
import type { AdminTools } from './grpc/admin-tools.ts';
import { authService } from './grpc/auth-service.ts';
import {
  authorizationService,
  CHECK_FIRST_NEWS_WAIT_MS,
  failClosedAuthorization,
} from './grpc/ext-authz/authorization-service.ts';
import type { AddService } from './grpc/grpc-server.ts';
import type { TrustBroadcast } from './grpc/trust-broadcast.ts';
import { trustService } from './grpc/trust-service.ts';
import { AdmissionLimit } from './operations/admission-limit.ts';
import { changePassword } from './operations/change-password.ts';
import { issueServiceToken } from './operations/issue-service-token.ts';
import { login } from './operations/login.ts';
import { LoginThrottle } from './operations/login-throttle.ts';
import type { RefreshRoot } from './operations/refresh-root.ts';
import { refreshToken } from './operations/refresh-token.ts';
import { resetPassword } from './operations/reset-password.ts';
import { revokeToken } from './operations/revoke-token.ts';
import { sessionPolicyOf } from './operations/session-policy.ts';
import { Turns } from './operations/turns.ts';
import { verifyToken } from './operations/verify-token.ts';
import type { PasswordHasher } from './passwords/password-hasher.ts';
import type { Database } from './store/database.ts';

/** One at a time changes a session; a row that somebody else holds costs each turn the lock timeout. */
const SESSION_TURNS = { width: 1, mostWaiting: 500, longestWaitMs: 1_000 };
const LOGIN_RETRY_MS = 1_000;

/** What the RPCs are made of. */
export interface RpcParts {
  readonly settings: Settings;
  readonly database: Database;
  readonly hasher: PasswordHasher;
  readonly refreshRoot: RefreshRoot;
  readonly tokens: Tokens;
  readonly broadcast: TrustBroadcast;
  readonly signingKeys: AdminTools['signingKeys'];
  /** How many logins may ask the database while they do not wait for a hash. */
  readonly loginsBesideHashes: number;
  /** Waits for what the database holds by now. */
  readonly nextRefresh: (call: CallBudget) => Promise<void>;
  /** Told when a refresh token is repeated within its grace time. */
  readonly onRepeat: () => void;
  readonly onDamagedHash: (userId: string, damage: string) => void;
}

/** Gives every RPC of the service its operation, and every operation what it works with. */
export function composeRpcs(parts: RpcParts): (add: AddService) => void {
  const { settings, database, hasher, refreshRoot, nextRefresh, onRepeat, onDamagedHash } = parts;
  const { issuer, policy, apiAudience, verification, jwks, nowMs } = parts.tokens;
  const { trust, verifier } = verification;
  const throttle = new LoginThrottle(database, () => refreshRoot.derive('login throttle'));
  // Those that may wait for a hash, and as many more as may be asking the database.
  const logins = new AdmissionLimit(hasher.capacity + parts.loginsBesideHashes, () =>
    Math.max(LOGIN_RETRY_MS, hasher.load.averageMs * hasher.capacity),
  );
  const sessions = {
    database,
    trust,
    turns: new Turns(SESSION_TURNS),
    policy: sessionPolicyOf(settings),
    refreshTokens: () => refreshRoot.tokens(),
  };
  const repeats = new RepeatBudget(repeatBudgetPolicy(settings.refreshGraceSeconds * 1000), () =>
    performance.now(),
  );
  const digests = new SecretDigests((purpose) => refreshRoot.derive(purpose));
  const passwords = { hasher, policy: { minLength: settings.passwordMinLength } };
  return (add) => {
    add(
      AuthServiceService,
      authService({
        login: (input, call) =>
          logins.admit(() => login({ ...sessions, hasher, issuer, onDamagedHash, throttle }, input, call)),
        verifyToken: (input) => verifyToken(verification, input),
        refreshToken: (input, call) => refreshToken({ ...sessions, issuer, repeats, onRepeat }, input, call),
        revokeToken: (input, call) => revokeToken({ ...sessions, verifier, nextRefresh, nowMs }, input, call),
        issueServiceToken: (input, call) =>
          issueServiceToken({ database, digests, issuer, trust }, input, call),
        changePassword: (input, call) =>
          logins.admit(() =>
            changePassword({ ...sessions, passwords, issuer, apiAudience, throttle }, input, call),
          ),
        resetPassword: (input, call) =>
          resetPassword({ database, passwords, digests, trust, throttle }, input, call),
        getJwks: jwks,
      }),
    );
    add(TrustServiceService, trustService(trust, policy, parts.broadcast));
    add(
      AdminServiceService,
      adminService({
        database,
        trust,
        passwords,
        digests,
        cursors: new PageCursors(() => refreshRoot.derive('page cursor')),
        signingKeys: parts.signingKeys,
      }),
    );
    add(
      failClosedAuthorization,
      authorizationService({
        audiences: settings.audiences,
        verifyToken: (input) => verifyToken(verification, input, CHECK_FIRST_NEWS_WAIT_MS),
      }),
    );
  };
}
