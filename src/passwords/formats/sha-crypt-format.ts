import { hash, timingSafeEqual } from 'node:crypto';

import { crypt64 } from './crypt64.ts';
import type { PasswordFormat } from './password-format.ts';

type Digest = 'sha256' | 'sha512';

const PATTERN =
  /^\$[56]\$(?:rounds=([1-9]\d{3,8})\$)?([\x21-\x23\x25-\x39\x3b-\x7e]{1,16})\$([./A-Za-z0-9]{43,86})$/;
const CHARACTERS: Readonly<Record<Digest, number>> = { sha256: 43, sha512: 86 };
/** The rounds of a hash that does not name them. */
const DEFAULT_ROUNDS = 5_000;
/**
 * A round reads the password up to twice, so the time grows with its length, and anybody can send a long one. Longer
 * passwords do not match; crypt(3) of Linux (libxcrypt) takes 511 bytes, so somebody might need a reset token.
 */
const MAX_PASSWORD_BYTES = 128;
/** Takes about a second. passlib's default is 656,000 rounds of SHA-512. */
const MAX_ROUNDS = 700_000;
/** Cost of 100,000 rounds for the longest password, in hashes with current parameters, rounded up. */
const WORK_PER_100_000_ROUNDS: Readonly<Record<Digest, number>> = { sha256: 22, sha512: 22 };

/**
 * SHA-crypt (`$5$` and `$6$`) of Linux, by Ulrich Drepper's specification "Unix crypt using SHA-256 and SHA-512":
 * `$6$salt$digest` or `$6$rounds=n$salt$digest`.
 */
export function shaCryptFormat(prefix: '$5$' | '$6$', name: string, digest: Digest): PasswordFormat {
  const characters = CHARACTERS[digest];
  return {
    name,

    recognises: (stored) => stored.startsWith(prefix),

    read(stored) {
      const [whole, roundsText, salt = '', expected = ''] = PATTERN.exec(stored) ?? [];
      if (whole === undefined || expected.length !== characters) return `is not a well-formed ${name} hash`;
      const rounds = roundsText === undefined ? DEFAULT_ROUNDS : Number(roundsText);
      if (rounds > MAX_ROUNDS) return `has ${rounds} rounds; the maximum for ${name} is ${MAX_ROUNDS}`;
      return {
        work: (rounds / 100_000) * WORK_PER_100_000_ROUNDS[digest],
        needsRehash: true,
        verify(password) {
          const bytes = Buffer.from(password);
          // As much work as for a password that may match.
          const hashed = bytes.subarray(0, MAX_PASSWORD_BYTES);
          const computed = shaCrypt(digest, hashed, Buffer.from(salt), rounds);
          const matches = timingSafeEqual(Buffer.from(computed), Buffer.from(expected));
          return matches && hashed.length === bytes.length;
        },
      };
    },

    exampleHash: (kind) => `${kind}${'.'.repeat(16)}$${'.'.repeat(characters)}`,
  };
}

/** The numbers of the steps are those of the specification. */
function shaCrypt(digest: Digest, password: Buffer, salt: Buffer, rounds: number): string {
  const digestOf = (parts: readonly Uint8Array[]) => hash(digest, Buffer.concat(parts), 'buffer');
  // 4 to 8
  const b = digestOf([password, salt, password]);
  // 1 to 3 and 9 to 12
  const a = digestOf([password, salt, repeated(b, password.length), ...lengthBits(password, b)]);
  // 13 to 16
  const p = repeated(digestOf(Array<Buffer>(password.length).fill(password)), password.length);
  // 17 to 20
  const s = repeated(digestOf(Array<Buffer>(16 + (a[0] ?? 0)).fill(salt)), salt.length);
  // 21
  return crypt64(reordered(digest, allRounds(digest, { a, p, s }, rounds)));
}

/**
 * Step 21. What a round hashes depends on the round's remainders by 2, 3 and 7, so there are 42 layouts. Each is written
 * once, and a round only copies the digest of the round before into its place.
 */
function allRounds(
  digest: Digest,
  { a, p, s }: { readonly a: Buffer; readonly p: Buffer; readonly s: Buffer },
  rounds: number,
): Buffer {
  const layouts = Array.from({ length: 42 }, (_, round) => {
    const middle = Buffer.concat([round % 3 > 0 ? s : NONE, round % 7 > 0 ? p : NONE]);
    return round % 2 > 0
      ? { block: Buffer.concat([p, middle, a]), at: p.length + middle.length }
      : { block: Buffer.concat([a, middle, p]), at: 0 };
  });
  let c = a;
  for (let start = 0; start < rounds; start += layouts.length) {
    for (const { block, at } of layouts.slice(0, rounds - start)) {
      c.copy(block, at);
      c = hash(digest, block, 'buffer');
    }
  }
  return c;
}

const NONE = Buffer.alloc(0);

/** `bytes` over and over, cut at `length`. */
function repeated(bytes: Buffer, length: number): Buffer {
  return Buffer.alloc(length, bytes);
}

/** Step 11: for each bit of the password's length, from the lowest, the digest or the password. */
function lengthBits(password: Buffer, b: Buffer): readonly Buffer[] {
  const parts: Buffer[] = [];
  for (let bits = password.length; bits > 0; bits >>>= 1) parts.push(bits & 1 ? b : password);
  return parts;
}

/** Step 22: the order in which the bytes are written. */
function reordered(digest: Digest, bytes: Buffer): Buffer {
  const third = Math.floor(bytes.length / 3);
  let group = [0, third, 2 * third];
  const order: number[] = [];
  for (let groups = 0; groups < third; groups++) {
    order.push(...group.toReversed());
    const [first = 0, second = 0, last = 0] = group.map((index) => index + 1);
    group = digest === 'sha512' ? [second, last, first] : [last, first, second];
  }
  for (let index = 3 * third; index < bytes.length; index++) order.push(index);
  return Buffer.from(order.map((index) => bytes[index] ?? 0));
}
