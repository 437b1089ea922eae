import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import { revocationUpdates } from './trust-updates.ts';

/** Every revocation in force, encoded. Whoever has taken it lacks only what came since `cursor`, and is told that. */
export interface TrustSnapshot {
  readonly cursor: bigint;
  readonly updates: readonly EncodedMessage[];
}

/** Beside 100,000 revocations this is little to tell each watcher on top; above it a new snapshot is cheaper. */
const MAX_MISSED = 500;
const KEPT_UNUSED_MS = 10_000;

/** The list of all revocations as incomplete updates, encoded once for all the watchers that start at about the same time. */
export class TrustSnapshots {
  readonly #trust: TrustBundle;
  #latest: Promise<TrustSnapshot> | null = null;
  #latestCursor = 0n;
  #forget: NodeJS.Timeout | undefined;

  constructor(trust: TrustBundle) {
    this.#trust = trust;
  }

  /** The bundle must be loaded. What has come since is for the caller to add: `missedSince` the snapshot's cursor. */
  current(): Promise<TrustSnapshot> {
    clearTimeout(this.#forget);
    this.#forget = setTimeout(() => (this.#latest = null), KEPT_UNUSED_MS).unref();
    if (this.#latest !== null && this.#isUsable()) return this.#latest;
    // Read before the walk begins: what comes during it may or may not be seen, and is told again.
    this.#latestCursor = this.#trust.cursor ?? 0n;
    this.#latest = this.#encode(this.#latestCursor);
    return this.#latest;
  }

  #isUsable(): boolean {
    const missed = this.#trust.missedSince(this.#latestCursor);
    return missed !== null && missed.length <= MAX_MISSED;
  }

  async #encode(cursor: bigint): Promise<TrustSnapshot> {
    const updates: EncodedMessage[] = [];
    const labels = { before: '', cursor: null, snapshot: true };
    for (const update of revocationUpdates(this.#trust.revocations(), labels)) {
      updates.push(update);
      // A million revocations take a second: verifications go in between.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { cursor, updates };
  }
}
