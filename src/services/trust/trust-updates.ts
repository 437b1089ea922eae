import type { ClaimsPolicy } from '../../domain/claims/claims.ts';
import { bytesOfUuid } from '../../domain/uuid.ts';
import { isUuid } from '../../domain/validation.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import { type Revocation as WireRevocation, TrustUpdate } from '../../generated/postern/v1/trust.ts';
import { EncodedMessage } from '../../rpc/encoded-message.ts';

/** Below the 64 KiB of the contract by more than the error of the size estimate. */
const CHUNK_BYTES = 60 * 1024;
/** The maximum size of the tags, lengths and expiry of one revocation. */
const BYTES_BESIDE_ID = 24;
const MAX_UINT32 = 2 ** 32 - 1;

export function keysUpdate(cursor: string, jwks: string, policy: ClaimsPolicy): EncodedMessage {
  const value = {
    jwks,
    issuer: policy.issuer,
    audiences: [...policy.audiences],
    maxLifetime: policy.maxLifetimeSeconds,
    clockSkew: policy.skewSeconds,
  };
  return encode({ cursor, update: { $case: 'keys', value } });
}

/** @param relayPath the relays that the stream comes through, that of this process first; empty in the service */
export function heartbeatUpdate(
  cursor: string,
  ageMs: number,
  relayPath: readonly string[] = [],
): EncodedMessage {
  const newsAgeMs = Math.min(Math.round(ageMs), MAX_UINT32);
  return encode({
    cursor,
    update: { $case: 'heartbeat', value: { newsAgeMs, relayPath: relayPath.map(bytesOfUuid) } },
  });
}

/**
 * Revocations as updates of at most 64 KiB each. Only the last is complete and has the new cursor: a subscriber that
 * loses the stream earlier resumes from its previous cursor.
 *
 * @param batch.previousCursor the cursor that the subscriber has already; empty when it has none
 * @param batch.cursor null when more revocations follow; then no update is complete
 */
export function* revocationUpdates(
  revocations: Iterable<Revocation>,
  batch: { readonly previousCursor: string; readonly cursor: string | null; readonly snapshot: boolean },
): Generator<EncodedMessage, void, undefined> {
  const { previousCursor, cursor, snapshot } = batch;
  let chunk: WireRevocation[] = [];
  let bytes = 0;
  const flush = (complete: boolean) => {
    const value = { revocations: chunk, complete, snapshot };
    chunk = [];
    bytes = 0;
    return encode({
      cursor: complete ? (cursor ?? previousCursor) : previousCursor,
      update: { $case: 'revocations', value },
    });
  };
  for (const { kind, id, expiresAtSeconds } of revocations) {
    const size = Buffer.byteLength(id) + BYTES_BESIDE_ID;
    if (bytes + size > CHUNK_BYTES) yield flush(false);
    chunk.push({ revoked: revoked(kind, id), expiresAt: expiresAtSeconds });
    bytes += size;
  }
  if (cursor !== null) yield flush(true);
  else if (chunk.length > 0) yield flush(false);
}

function revoked(kind: Revocation['kind'], id: string): WireRevocation['revoked'] {
  switch (kind) {
    case 'sid':
      return isUuid(id)
        ? { $case: 'sessionId', value: bytesOfUuid(id) }
        : { $case: 'sessionName', value: id };
    case 'jti':
      return { $case: 'tokenId', value: id };
    case 'kid':
      return { $case: 'keyId', value: id };
    default:
      return kind satisfies never;
  }
}

function encode(update: TrustUpdate): EncodedMessage {
  return new EncodedMessage(TrustUpdate.encode(update).finish());
}
