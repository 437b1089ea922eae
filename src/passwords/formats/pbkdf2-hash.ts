import { pbkdf2Sync, timingSafeEqual } from 'node:crypto';
import type { StoredHash } from './password-format.ts';

export type Pbkdf2Digest = 'sha1' | 'sha256' | 'sha512';

/**
 * Cost of one million iterations, in hashes with current parameters, rounded up. One block is computed, whatever the
 * length of the stored key.
 */
const WORK_PER_MILLION_ITERATIONS: Readonly<Record<Pbkdf2Digest, number>> = {
  sha1: 40,
  sha256: 30,
  sha512: 45,
};
const DIGEST_BYTES: Readonly<Record<Pbkdf2Digest, number>> = { sha1: 20, sha256: 32, sha512: 64 };

/**
 * Lengths of stored keys beside the digest's own: 32 bytes in ASP.NET Identity, 64 in Keycloak. Others are taken for
 * damage: a text that was cut must not be stored.
 */
const OTHER_KEY_BYTES = [32, 64];

/** Takes up to a second. Django's default of 2025 is 1.2 million, and it grows every year. */
const MAX_ITERATIONS = 2_000_000;
const MAX_SALT_BYTES = 256;

/**
 * PBKDF2 (RFC 8018 section 5.2), from the parts that any of its text formats parses. Returns one line with the reason
 * when a part is out of bounds. `iterations` holds decimal digits; undefined bytes could not be decoded.
 *
 * Of a key that is longer than one block, only the first block is compared. The blocks are computed independently of each
 * other, so the others would only cost time, and would prove nothing: 160 bits are enough.
 */
export function pbkdf2Hash(parts: {
  readonly digest: Pbkdf2Digest;
  readonly iterations: string;
  readonly salt: Buffer | undefined;
  readonly expected: Buffer | undefined;
}): StoredHash | string {
  const { digest, salt, expected } = parts;
  const blockBytes = DIGEST_BYTES[digest];
  if (salt === undefined || salt.length === 0 || salt.length > MAX_SALT_BYTES) return 'has a damaged salt';
  if (expected === undefined) return 'has a damaged digest';
  const lengths = [...new Set([blockBytes, ...OTHER_KEY_BYTES])].sort((a, b) => a - b);
  if (!lengths.includes(expected.length)) {
    return `has a digest of ${expected.length} bytes; it must have ${lengths.join(' or ')}`;
  }
  const iterations = Number(parts.iterations);
  if (iterations > MAX_ITERATIONS) {
    return `has ${parts.iterations.slice(0, 12)} iterations; the maximum for PBKDF2 is ${MAX_ITERATIONS}`;
  }
  const block = expected.subarray(0, blockBytes);
  return {
    work: (iterations / 1_000_000) * WORK_PER_MILLION_ITERATIONS[digest],
    needsRehash: true,
    verify: (password) =>
      timingSafeEqual(pbkdf2Sync(password, salt, iterations, block.length, digest), block),
  };
}

/** A digest whose password nobody knows, for `exampleHash`. */
export function zeroDigest(digest: Pbkdf2Digest): Buffer {
  return Buffer.alloc(DIGEST_BYTES[digest]);
}
