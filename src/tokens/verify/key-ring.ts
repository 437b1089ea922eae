import { createHash } from 'node:crypto';
import type { Signer } from '../issue/signer.ts';
import type { VerificationKey } from './verification-key.ts';

/** The public key set as it goes out: serialised once, so that serving it costs nothing (K11). */
interface Jwks {
  readonly json: string;
  /** A strong entity tag, with its quotes: equal sets have equal tags. */
  readonly etag: string;
}

/** The keys of one moment. Immutable: a change of keys is a new ring. */
export interface KeyRing {
  /** The key with exactly this kid, by a Map: no prefix, no path, no query, no "try them all" (T05). */
  find(kid: string): VerificationKey | undefined;
  readonly kids: readonly string[];
  /** The key that signs; null in a process that only verifies. */
  readonly signer: Signer | null;
  readonly jwks: Jwks;
}

/**
 * A ring of the published keys (pending, active and retired) and the signer of the active one. The set is ordered by
 * kid, so that every instance serves the same bytes. Throws on two keys with one kid, and on a signer whose key is not
 * published: nobody could verify its tokens.
 */
export function createKeyRing(keys: readonly VerificationKey[], signer: Signer | null = null): KeyRing {
  const byKid = new Map(keys.map((key) => [key.kid, key]));
  if (byKid.size !== keys.length) throw new Error('two keys have the same kid');
  if (signer?.kid != null && !byKid.has(signer.kid))
    throw new Error('the signing key is not among the published keys');
  const kids = Object.freeze([...byKid.keys()].sort());
  const json = JSON.stringify({ keys: kids.map((kid) => byKid.get(kid)?.jwk) });
  const etag = `"${createHash('sha256').update(json).digest('base64url')}"`;
  return Object.freeze({
    find: (kid: string) => byKid.get(kid),
    kids,
    signer,
    jwks: Object.freeze({ json, etag }),
  });
}
