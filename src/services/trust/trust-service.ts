import type { ClaimsPolicy } from '../../domain/claims.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import type { TrustServiceService, TrustUpdate } from '../../generated/postern/v1/trust.ts';
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
 * postern.v1.TrustService. The order in which a watcher learns is what makes its cursor safe: a snapshot (or what it
 * has already), then what came since from the journal, and from that very moment on every change.
 */
export function trustService(
  trust: TrustBundle,
  policy: ClaimsPolicy,
  broadcaster = new TrustBroadcaster(trust, policy),
): ServiceHandlers<typeof TrustServiceService> {
  const snapshots = new TrustSnapshots(trust);

  async function* watchTrust(
    request: { readonly cursor: string },
    call: StreamCall,
  ): AsyncGenerator<EncodedMessage | TrustUpdate, void, undefined> {
    let known = parseCursor(request.cursor);
    await trust.whenLoaded(INITIAL_LOAD_WAIT_MS);
    if (!trust.loaded || trust.cursor === null)
      throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
    const isResumed = known !== null && trust.missedSince(known) !== null;
    let keys = trust.keys();
    yield keysUpdate(isResumed ? request.cursor : '', keys.jwks.json, policy);

    // A reader so slow that the journal has moved past its snapshot begins again.
    while (known === null || trust.missedSince(known) === null) {
      const snapshot = await snapshots.current();
      yield* snapshot.updates;
      known = snapshot.cursor;
    }

    // From here to `join` nothing waits, so nothing falls between the journal and the changes.
    const missed = trust.missedSince(known) ?? [];
    const before = isResumed ? request.cursor : '';
    const labels = { before, cursor: cursorOf(trust), snapshot: !isResumed };
    const readAtMs = performance.now() - trust.ageMs;
    const watcher = new SubscriberQueue(call);
    broadcaster.subscribe(watcher);
    try {
      if (trust.keys() !== keys) {
        keys = trust.keys();
        yield keysUpdate(before, keys.jwks.json, policy);
      }
      yield* revocationUpdates(missed, labels);
      // Tells at once how old all this is: a verifier judges nothing before it knows.
      yield heartbeatUpdate(labels.cursor, performance.now() - readAtMs);
      for await (const update of watcher.updates()) {
        requireUnrevoked(trust, call);
        yield update;
      }
    } finally {
      broadcaster.unsubscribe(watcher);
    }
  }

  return { watchTrust };
}

/** A watcher whose own token was revoked learns no more (its account was deleted, say); one that expired goes on. */
function requireUnrevoked(trust: TrustBundle, { caller }: Call): void {
  if (!caller?.claims || !trust.isRevoked(caller.claims)) return;
  throw new Rejected({ kind: 'token-refused', refusal: refusals.revoked });
}

function cursorOf(trust: TrustBundle): string {
  return trust.cursor === null ? '' : formatCursor(trust.cursor);
}
