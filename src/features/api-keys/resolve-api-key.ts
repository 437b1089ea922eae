import { Rejected } from '../../domain/rejection.ts';
import type { FieldRule } from '../../domain/validation.ts';
import type { KnownApiKey } from './api-key-directory.ts';
import { type ApiKeyVerification, causeOfInvalidity, requireFresh } from './verify-api-key.ts';

/** How long a verifier may keep the answer. The revocations of keys last 3 minutes longer (`postern_end_api_keys_1`). */
const MAX_AGE_SECONDS = 600;
const SHA256_BYTES = 32;

export interface ResolvedApiKey {
  readonly key: KnownApiKey;
  readonly maxAgeSeconds: number;
}

/** The rule of the field `key_sha256`. */
export const sha256Digest: FieldRule<Uint8Array> = (value, field) =>
  value.length === SHA256_BYTES ? [] : [{ field, description: 'must be a SHA-256 digest, of 32 bytes' }];

/**
 * Says what an API key may do, for a verifier that keeps the answer. It counts as a use from an unknown address.
 *
 * @throws Rejected `not-found` for every key that is not valid, `trust-stale`
 */
export async function resolveApiKey(
  verification: ApiKeyVerification,
  keySha256: Uint8Array,
): Promise<ResolvedApiKey> {
  const { directory, feed, uses, nowMs } = verification;
  requireFresh(verification);
  let found = directory.findByHash(keySha256);
  if (causeOfInvalidity(verification, found) !== null) {
    await feed.nextRead(() => causeOfInvalidity(verification, directory.findByHash(keySha256)) === null);
    requireFresh(verification);
    found = directory.findByHash(keySha256);
  }
  if (typeof found === 'string' || causeOfInvalidity(verification, found) !== null)
    throw new Rejected({ kind: 'not-found', resource: 'API key' });
  uses.note(found.id, null);
  const remaining = Math.max(1, Math.floor(found.claims.expiresAtSeconds - nowMs() / 1000));
  return { key: found, maxAgeSeconds: Math.min(MAX_AGE_SECONDS, remaining) };
}
