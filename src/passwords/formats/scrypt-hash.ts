import { scryptSync, timingSafeEqual } from 'node:crypto';
import type { StoredHash } from './password-format.ts';

/**
 * One hash takes 128·N·r bytes of memory, and time in proportion to N·r·p, which `blocks` limits. The most expensive
 * OWASP recommendation, N=2^17, r=8, p=1, takes 128 MiB and a third of a second.
 */
const MAX = { memoryBytes: 128 * 2 ** 20, blocks: 2 ** 21, lanes: 16, saltBytes: 256 };

/** In hashes with current parameters: 2^17 blocks (N=2^14, r=8, p=1) take 43 ms, one such hash 10 to 20 ms. */
const WORK_PER_BLOCK = 4 / 2 ** 17;

const FINISHED_KEY_BYTES = 32;

/**
 * scrypt (RFC 7914), from the parts that any of its text formats parses. Returns one line with the reason when a part
 * is out of bounds. Undefined bytes could not be decoded.
 */
export function scryptHash(parts: {
  readonly n: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer | undefined;
  readonly expected: Buffer | undefined;
  /** What a modified scrypt makes of the 32 bytes that it derives; when absent, `expected` is what is derived. */
  readonly finish?: (key: Buffer, length: number) => Buffer;
}): StoredHash | string {
  const { n, r, p, salt, expected, finish } = parts;
  if (salt === undefined || salt.length === 0 || salt.length > MAX.saltBytes) return 'has a damaged salt';
  if (expected === undefined || expected.length < 16 || expected.length > 64) return 'has a damaged digest';
  if (128 * n * r > MAX.memoryBytes) {
    return `needs more memory than ${MAX.memoryBytes / 2 ** 20} MiB, the maximum for scrypt`;
  }
  if (p > MAX.lanes || n * r * p > MAX.blocks) {
    return `costs more than N*r*p = ${MAX.blocks} or p = ${MAX.lanes}, the maximum for scrypt`;
  }
  // RFC 7914 section 2: N is a power of two above 1 and below 2^(16r). Given the memory limit, the latter matters only
  // for r = 1.
  if (n < 2 || !Number.isInteger(Math.log2(n)) || Math.log2(n) >= 16 * r) {
    return 'has an N that is not valid for scrypt';
  }
  const options = { N: n, r, p, maxmem: 2 * MAX.memoryBytes };
  return {
    work: n * r * p * WORK_PER_BLOCK,
    needsRehash: true,
    verify(password) {
      const { length } = expected;
      const key = scryptSync(password, salt, finish ? FINISHED_KEY_BYTES : length, options);
      return timingSafeEqual(finish ? finish(key, length) : key, expected);
    },
  };
}
