import type { Settings } from '../../config/load-settings.ts';
import type { ClaimsPolicy } from '../../domain/claims/claims.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { AuditRateLimiter, auditRateLimits } from '../../features/audit/audit-rate-limiter.ts';
import { authenticateService } from '../../features/authentication/authenticate-caller.ts';
import type { VerifyDependencies } from '../../features/authentication/verify-token.ts';
import { TrustServiceService } from '../../generated/postern/v1/trust.ts';
import { authenticateBy } from '../../rpc/authenticate.ts';
import type { AddService } from '../../rpc/handlers.ts';
import type { MethodGuard } from '../../rpc/method-guard.ts';
import { TrustBroadcaster } from '../../services/trust/trust-broadcaster.ts';
import { trustService } from '../../services/trust/trust-service.ts';
import type { ApiKeyResolver } from '../../trust/api-key-resolver.ts';
import type { RelayPath } from '../../trust/relay-path.ts';

/**
 * What a sidecar serves on with POSTERN_RELAY=on: TrustService, from its own trust bundle, to callers that it authenticates
 * itself as the service does. The class of access `service` relies on the token alone there too, so that nothing is missing
 * without a database. There is no audit trail here: the log and the metrics have each refusal.
 */
export function composeRelay(parts: {
  readonly settings: Settings;
  readonly path: RelayPath;
  readonly policy: () => ClaimsPolicy;
  readonly verification: VerifyDependencies;
  readonly apiKeys: ApiKeyResolver;
  readonly onRefusedAfterEnd: MethodGuard['onRefusedAfterEnd'];
}) {
  const { settings, path, policy, verification, apiKeys, onRefusedAfterEnd } = parts;
  const { trust, maxStalenessMs } = verification;
  const broadcaster = new TrustBroadcaster(trust, policy, () => path.path);
  const apiAudience = () => settings.apiAudience ?? policy().audiences[0] ?? '';
  const guard: MethodGuard = {
    authenticate: authenticateBy(
      { service: settings.tlsServiceIdentities, admin: [] },
      (token, _access, call) =>
        authenticateService({ ...verification, apiAudience }, { token, address: call.origin.address }),
    ),
    writeAudit: () => Promise.resolve(),
    refusals: new AuditRateLimiter(auditRateLimits, () => performance.now()),
    onAuditWriteFailed: () => undefined,
    onForwarderRefused: () => undefined,
    onRefusedAfterEnd,
  };
  /** The upstream is asked with the credential of the relay, once for all that ask. */
  const resolve = async (keySha256: Uint8Array) => {
    if (!trust.loaded || trust.ageMs > maxStalenessMs)
      throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
    const answer = await apiKeys.answerOf(keySha256);
    if (answer === null) throw new Rejected({ kind: 'not-found', resource: 'API key' });
    return answer;
  };
  return {
    watchers: () => broadcaster.watchers,
    addTo(addGuardedBy: (guard: MethodGuard) => AddService): void {
      addGuardedBy(guard)(TrustServiceService, trustService(trust, policy, resolve, broadcaster));
    },
  };
}
