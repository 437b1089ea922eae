import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import { revocationUpdates } from './trust-updates.ts';

/** Every revocation in force before `cursor`, encoded. A subscriber also needs the later ones, from the journal. */
export interface TrustSnapshot {
  readonly cursor: bigint;
  readonly updates: readonly EncodedMessage[];
}

/** Up to so many later revocations are sent beside an old snapshot; for more, a new snapshot is cheaper. */
const MAX_MISSED = 500;
/** An unused snapshot is dropped after this time. */
const SNAPSHOT_TTL_MS = 10_000;

/** All revocations as incomplete updates, encoded once for all subscribers that start at about the same time. */
export class TrustSnapshots {
  readonly #trust: TrustBundle;
  #latest: Promise<TrustSnapshot> | null = null;
  #latestCursor = 0n;
  #expiryTimer: NodeJS.Timeout | undefined;

  constructor(trust: TrustBundle) {
    this.#trust = trust;
  }

  /** The bundle must be loaded. The caller adds the later revocations: `addedSince` of the snapshot's cursor. */
  current(): Promise<TrustSnapshot> {
    clearTimeout(this.#expiryTimer);
    this.#expiryTimer = setTimeout(() => (this.#latest = null), SNAPSHOT_TTL_MS).unref();
    if (this.#latest !== null && this.#isUsable()) return this.#latest;
    // Read before the iteration starts. It may or may not include revocations added meanwhile, so those are sent again.
    this.#latestCursor = this.#trust.cursor ?? 0n;
    this.#latest = this.#encode(this.#latestCursor);
    return this.#latest;
  }

  #isUsable(): boolean {
    const missed = this.#trust.addedSince(this.#latestCursor);
    return missed !== null && missed.length <= MAX_MISSED;
  }

  async #encode(cursor: bigint): Promise<TrustSnapshot> {
    const updates: EncodedMessage[] = [];
    const incomplete = { previousCursor: '', cursor: null, snapshot: true };
    for (const update of revocationUpdates(this.#trust.revocations(), incomplete)) {
      updates.push(update);
      // A million revocations take a second. The event loop runs in between, so that verifications are not delayed.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { cursor, updates };
  }
}
