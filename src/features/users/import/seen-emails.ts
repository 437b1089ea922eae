import { createHash } from 'node:crypto';

import type { Email } from '../email.ts';

/** A JavaScript Set holds at most 2^24 members; sixteen hold 268 million. */
const SHARDS = 16;

/**
 * Set of e-mails, kept as 64 bits of their SHA-256: about 50 bytes of memory each. The probability of any collision
 * among ten million e-mails is about 3 in a million.
 */
export class SeenEmails {
  readonly #shards = Array.from({ length: SHARDS }, () => new Set<bigint>());

  /** Adds an e-mail; returns whether it is new. */
  add(email: Email): boolean {
    const digest = createHash('sha256').update(email).digest();
    const shard = this.#shards[digest.readUInt8(8) % SHARDS];
    const sizeBefore = shard?.size ?? 0;
    shard?.add(digest.readBigUInt64BE(0));
    return shard?.size !== sizeBefore;
  }
}
