import type { ClaimsPolicy } from '../../domain/claims/claims.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { uuidOfBytes } from '../../domain/uuid.ts';
import { requireValid } from '../../domain/validation.ts';
import { type ResolvedApiKey, sha256Digest } from '../../features/api-keys/resolve-api-key.ts';
import { SubjectType } from '../../generated/postern/v1/auth.ts';
import type {
  ApiKeyGrant,
  TrustServiceService,
  TrustUpdate,
  WatchTrustRequest,
} from '../../generated/postern/v1/trust.ts';
import { refusals } from '../../tokens/verify/token-refusals.ts';
import { relayFault } from '../../trust/relay-path.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { Call } from '../../rpc/call.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import type { ServiceHandlers, StreamCall } from '../../rpc/handlers.ts';
import { TrustBroadcaster } from './trust-broadcaster.ts';
import { formatCursor, parseCursor } from '../../trust/trust-cursor.ts';
import { TrustSnapshots } from './trust-snapshots.ts';
import { heartbeatUpdate, keysUpdate, revocationUpdates } from './trust-updates.ts';
import { SubscriberQueue } from './subscriber-queue.ts';

const INITIAL_LOAD_WAIT_MS = 1_000;
const UUID_BYTES = 16;

/**
 * postern.v1.TrustService, in the service and in a relay. The order of updates makes a subscriber's cursor safe: first a snapshot (unless the
 * subscriber resumes), then all later revocations from the journal, and from that moment on every change.
 *
 * @param resolve answers ResolveApiKey for a digest of the right size
 */
export function trustService(
  trust: TrustBundle,
  policy: () => ClaimsPolicy,
  resolve: (keySha256: Uint8Array) => Promise<ApiKeyGrant>,
  broadcaster = new TrustBroadcaster(trust, policy),
): ServiceHandlers<typeof TrustServiceService> {
  const snapshots = new TrustSnapshots(trust);

  async function* watchTrust(
    request: WatchTrustRequest,
    call: StreamCall,
  ): AsyncGenerator<EncodedMessage | TrustUpdate, void, undefined> {
    const position = parseCursor(request.cursor);
    requireNoRing(broadcaster.relayPath(), request.relayId);
    await trust.whenLoaded(INITIAL_LOAD_WAIT_MS);
    if (!trust.loaded || trust.cursor === null)
      throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
    const isResumed = position !== null && trust.missedSince(position) !== null;
    const keys = trust.keys();
    const sentPolicy = policy();
    yield keysUpdate(isResumed ? request.cursor : '', keys.jwks.json, sentPolicy);

    // When a subscriber reads so slowly that the journal no longer reaches back to its snapshot, it gets a new
    // snapshot.
    let missed = position === null ? null : trust.missedSince(position);
    while (missed === null) {
      const snapshot = await snapshots.current();
      yield* snapshot.updates;
      missed = trust.addedSince(snapshot.cursor);
    }

    // There is no `await` from here to `subscribe`, so no change is lost between the journal and the subscription.
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
      yield heartbeatUpdate(cursor, performance.now() - readAtMs, broadcaster.relayPath());
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
      return resolve(keySha256);
    },
  };
}

/** Refuses a relay that must not get its stream from here. @throws Rejected `field-invalid` */
function requireNoRing(path: readonly string[], relayId: Uint8Array): void {
  if (relayId.length === 0) return;
  const description =
    relayId.length === UUID_BYTES
      ? relayFault(path, uuidOfBytes(relayId))
      : 'must be the 16 bytes of a UUID, or empty';
  if (description === null) return;
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'relay_id', description }] });
}

/** The answer of the service. */
export function apiKeyGrant({ key, maxAgeSeconds }: ResolvedApiKey): ApiKeyGrant {
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
