import type { ClaimsPolicy } from '../../domain/claims/claims.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { requireValid } from '../../domain/validation.ts';
import { resolveApiKey, type ResolvedApiKey, sha256Digest } from '../../features/api-keys/resolve-api-key.ts';
import type { ApiKeyVerification } from '../../features/api-keys/verify-api-key.ts';
import { SubjectType } from '../../generated/postern/v1/auth.ts';
import type { ApiKeyGrant, TrustServiceService, TrustUpdate } from '../../generated/postern/v1/trust.ts';
import { refusals } from '../../tokens/verify/token-refusals.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { Call } from '../../rpc/call.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import type { ServiceHandlers, StreamCall } from '../../rpc/handlers.ts';
import { TrustBroadcaster } from './trust-broadcaster.ts';
import { formatCursor, parseCursor } from './trust-cursor.ts';
import { TrustSnapshots } from './trust-snapshots.ts';
import { heartbeatUpdate, keysUpdate, revocationUpdates } from './trust-updates.ts';
import { SubscriberQueue } from './subscriber-queue.ts';

const INITIAL_LOAD_WAIT_MS = 1_000;

/**
 * postern.v1.TrustService. The order of updates makes a subscriber's cursor safe: first a snapshot (unless the
 * subscriber resumes), then all later revocations from the journal, and from that moment on every change.
 */
export function trustService(
  trust: TrustBundle,
  policy: () => ClaimsPolicy,
  apiKeys: ApiKeyVerification,
  broadcaster = new TrustBroadcaster(trust, policy),
): ServiceHandlers<typeof TrustServiceService> {
  const snapshots = new TrustSnapshots(trust);

  async function* watchTrust(
    request: { readonly cursor: string },
    call: StreamCall,
  ): AsyncGenerator<EncodedMessage | TrustUpdate, void, undefined> {
    let position = parseCursor(request.cursor);
    await trust.whenLoaded(INITIAL_LOAD_WAIT_MS);
    if (!trust.loaded || trust.cursor === null)
      throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
    const isResumed = position !== null && trust.missedSince(position) !== null;
    const keys = trust.keys();
    const sentPolicy = policy();
    yield keysUpdate(isResumed ? request.cursor : '', keys.jwks.json, sentPolicy);

    // When a subscriber reads so slowly that the journal no longer reaches back to its snapshot, it gets a new
    // snapshot.
    while (position === null || trust.missedSince(position) === null) {
      const snapshot = await snapshots.current();
      yield* snapshot.updates;
      position = snapshot.cursor;
    }

    // There is no `await` from here to `subscribe`, so no change is lost between the journal and the subscription.
    const missed = trust.missedSince(position) ?? [];
    const previousCursor = isResumed ? request.cursor : '';
    const cursor = cursorOf(trust);
    const readAtMs = performance.now() - trust.ageMs;
    const subscriber = new SubscriberQueue(call);
    broadcaster.subscribe(subscriber);
    try {
      if (trust.keys() !== keys || policy() !== sentPolicy)
        yield keysUpdate(previousCursor, trust.keys().jwks.json, policy());
      yield* revocationUpdates(missed, { previousCursor, cursor, snapshot: !isResumed });
      // Gives the age of these updates at once: before a verifier knows it, the verifier answers UNAVAILABLE.
      yield heartbeatUpdate(cursor, performance.now() - readAtMs);
      for await (const update of subscriber.updates()) {
        requireUnrevoked(trust, call);
        yield update;
      }
    } finally {
      broadcaster.unsubscribe(subscriber);
    }
  }

  return {
    watchTrust,
    resolveApiKey: async ({ keySha256 }) => {
      requireValid({ keySha256: sha256Digest }, { keySha256 });
      return apiKeyGrant(await resolveApiKey(apiKeys, keySha256));
    },
  };
}

function apiKeyGrant({ key, maxAgeSeconds }: ResolvedApiKey): ApiKeyGrant {
  const { id, claims, networks, revocationId } = key;
  const { issuedAtSeconds, expiresAtSeconds } = claims;
  return {
    id,
    subject: claims.subject,
    subjectType: claims.subjectType === 'user' ? SubjectType.USER : SubjectType.SERVICE,
    subjectName: claims.subjectName ?? '',
    externalId: claims.externalId ?? '',
    roles: [...claims.roles],
    audience: claims.audience[0] ?? '',
    allowedNetworks: [...networks],
    createdAt: issuedAtSeconds === null ? undefined : new Date(issuedAtSeconds * 1000),
    expiresAt: expiresAtSeconds === Infinity ? undefined : new Date(expiresAtSeconds * 1000),
    maxAge: maxAgeSeconds,
    revocationId,
  };
}

/**
 * Ends the stream of a subscriber whose own token was revoked, for example because its account was deleted. An expired
 * token does not end the stream.
 */
function requireUnrevoked(trust: TrustBundle, { caller }: Call): void {
  if (!caller?.claims || !trust.isRevoked(caller.claims)) return;
  throw new Rejected({ kind: 'token-refused', refusal: refusals.revoked });
}

function cursorOf(trust: TrustBundle): string {
  return trust.cursor === null ? '' : formatCursor(trust.cursor);
}
