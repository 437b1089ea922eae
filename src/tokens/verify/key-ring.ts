import { createHash } from 'node:crypto';
import type { Signer } from '../issue/signer.ts';
import type { SigningAlgorithm } from '../signing-algorithm.ts';
import type { VerificationKey } from './verification-key.ts';

/** The published JWKS, serialised once per key ring (K11). */
interface Jwks {
  readonly json: string;
  /** Strong entity tag, including the quotes. Equal key sets have equal tags. */
  readonly etag: string;
  /** The algorithms of these keys, each once, in alphabetical order. */
  readonly algorithms: readonly SigningAlgorithm[];
}

/** An immutable set of keys. A change of keys makes a new ring. */
export interface KeyRing {
  /**
   * Finds the key with exactly this kid, in a Map. A kid is never used as a prefix, path or query, and keys are never
   * tried in turn (T05).
   */
  find(kid: string): VerificationKey | undefined;
  readonly kids: readonly string[];
  /** The key that signs; null in a process that only verifies. */
  readonly signer: Signer | null;
  readonly jwks: Jwks;
}

/**
 * Creates a key ring from the published keys (pending, active and retired) and the signer of the active key. The JWKS is
 * ordered by kid, so that every instance serves the same bytes. Throws when two keys have the same kid, or when the key
 * of the signer is not published: nobody could verify its tokens.
 */
export function createKeyRing(keys: readonly VerificationKey[], signer: Signer | null = null): KeyRing {
  const byKid = new Map(keys.map((key) => [key.kid, key]));
  if (byKid.size !== keys.length) throw new Error('two keys have the same kid');
  if (signer?.kid != null && !byKid.has(signer.kid))
    throw new Error('the signing key is not among the published keys');
  const kids = Object.freeze([...byKid.keys()].sort());
  const json = JSON.stringify({ keys: kids.map((kid) => byKid.get(kid)?.jwk) });
  const etag = `"${createHash('sha256').update(json).digest('base64url')}"`;
  const algorithms = Object.freeze([...new Set(keys.map(({ algorithm }) => algorithm))].sort());
  return Object.freeze({
    find: (kid: string) => byKid.get(kid),
    kids,
    signer,
    jwks: Object.freeze({ json, etag, algorithms }),
  });
}
