import { createHash } from 'node:crypto';

import type { Email } from '../email.ts';

/** A JavaScript set takes 2^24 members: this many sets take 268 million. */
const SHARDS = 16;

/**
 * Which e-mails came before, by 64 bits of their SHA-256: about 50 bytes of memory for each. Among ten million, two
 * are taken for one with a chance of 3 in a million.
 */
export class SeenEmails {
  readonly #shards = Array.from({ length: SHARDS }, () => new Set<bigint>());

  /** Whether it is new; from then on it is not. */
  add(email: Email): boolean {
    const digest = createHash('sha256').update(email).digest();
    const shard = this.#shards[digest.readUInt8(8) % SHARDS];
    const sizeBefore = shard?.size ?? 0;
    shard?.add(digest.readBigUInt64BE(0));
    return shard?.size !== sizeBefore;
  }
}
