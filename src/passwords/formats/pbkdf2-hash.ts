import { pbkdf2Sync, timingSafeEqual } from 'node:crypto';
import type { StoredHash } from './password-format.ts';

export type Pbkdf2Digest = 'sha1' | 'sha256' | 'sha512';

/** What one million iterations take, in hashes of ours, rounded up; a digest of the hash's own length is one block. */
const WORK_OF_MILLION: Readonly<Record<Pbkdf2Digest, number>> = { sha1: 40, sha256: 30, sha512: 45 };
const DIGEST_BYTES: Readonly<Record<Pbkdf2Digest, number>> = { sha1: 20, sha256: 32, sha512: 64 };

/** Django's default of 2025 is 1.2 million and grows every year; this takes up to a second. */
const MAX_ITERATIONS = 2_000_000;
const MAX_SALT_BYTES = 256;

/** PBKDF2 (RFC 8018 section 5.2) as parsed by any of its ways of writing; `iterations` are decimal digits. */
export function pbkdf2Hash(parts: {
  readonly digest: Pbkdf2Digest;
  readonly iterations: string;
  readonly salt: Buffer | undefined;
  readonly expected: Buffer | undefined;
}): StoredHash | string {
  const { digest, salt, expected } = parts;
  const length = DIGEST_BYTES[digest];
  if (salt === undefined || salt.length === 0 || salt.length > MAX_SALT_BYTES) return 'has a damaged salt';
  if (expected?.length !== length) return 'has a damaged digest';
  const iterations = Number(parts.iterations);
  if (iterations > MAX_ITERATIONS) {
    return `has ${parts.iterations.slice(0, 12)} iterations; the maximum for PBKDF2 is ${MAX_ITERATIONS}`;
  }
  return {
    work: (iterations / 1_000_000) * WORK_OF_MILLION[digest],
    needsRehash: true,
    verify: (password) => timingSafeEqual(pbkdf2Sync(password, salt, iterations, length, digest), expected),
  };
}

/** A digest of nobody's password, for measuring. */
export function anyDigest(digest: Pbkdf2Digest): Buffer {
  return Buffer.alloc(DIGEST_BYTES[digest]);
}
