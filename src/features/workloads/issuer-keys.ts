import { withTimeout } from '../../domain/concurrency/timeout.ts';
import { Rejected, RETRY_AFTER_MS } from '../../domain/rejection.ts';
import { type OutsideKey, readOutsideKeySet } from '../../tokens/verify/outside-key.ts';
import { KeyRefused } from '../../tokens/verify/verification-key.ts';
import type { FetchedKeys } from './fetch-issuer-keys.ts';
import type { TrustedIssuer } from './trusted-issuer.ts';

/** The part of an issuer that decides about its keys. */
type KeyedIssuer = Pick<TrustedIssuer, 'id' | 'issuer' | 'keys'>;

interface Entry {
  /** The source of the keys; another one after a change by an administrator. */
  readonly source: string;
  keys: readonly OutsideKey[] | null;
  fetchedAtMs: number;
  freshUntilMs: number;
  attemptedAtMs: number;
  lastFault: string;
  /** The request that is under way, for as long as calls wait for it; null when there is none. */
  inFlight: Promise<void> | null;
}

/** The shortest time for which a fetched set is used without asking again. */
const MIN_FRESH_MS = 300_000;
/** A set is fetched beside the calls for this long after it should have been; later a call waits for it. */
const BACKGROUND_MS = 300_000;
/** The longest use of a set while its server fails. */
const MAX_STALE_MS = 86_400_000;
/** Tokens with invented key ids, or an issuer that fails, cause no more requests than one in this time. */
const MIN_INTERVAL_MS = 10_000;
/**
 * No call waits longer for a request, which goes on beside: a slow issuer must not hold the calls of a source for so long that
 * those for other issuers, which wait behind them, are refused.
 */
const MAX_WAIT_MS = 1_000;
const STILL_FETCHING = 'the server has not answered yet';
/** No issuer is deleted from memory by hand: beyond this number the one that was used first goes. */
const MAX_ENTRIES = 1_000;

export interface IssuerKeysOptions {
  /** @throws IssuerKeysFault */
  readonly fetch: (issuer: KeyedIssuer) => Promise<FetchedKeys>;
  /** Monotonic time. */
  readonly nowMs: () => number;
  /** How long a call waits for a request, ms. */
  readonly maxWaitMs?: number;
  /** Called for each failed fetch, with words for the operator. */
  readonly onFault: (issuer: KeyedIssuer, fault: string) => void;
}

/**
 * The keys of trusted issuers, fetched as they are used and kept: for as long as the issuer says, at least 5 minutes and at
 * most an hour. Callers share one request. A set is fetched on a call's path only when there is none, when it is long overdue,
 * or when a token names a key that it lacks, and never more than once in 10 seconds an issuer. While the server fails, the
 * last set serves for a day.
 */
export class IssuerKeys {
  readonly #options: IssuerKeysOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(options: IssuerKeysOptions) {
    this.#options = options;
  }

  /**
   * @param select finds the key of a token; null when the keys do not contain it
   * @returns the selected key, or null when the issuer does not have it
   * @throws Rejected `issuer-keys-unavailable`
   */
  async find(
    issuer: KeyedIssuer,
    select: (keys: readonly OutsideKey[]) => OutsideKey | null,
  ): Promise<OutsideKey | null> {
    const entry = this.#entryOf(issuer);
    if (issuer.keys.from === 'static') return select(this.#usableKeys(entry));
    const nowMs = this.#options.nowMs();
    const overdueMs = nowMs - entry.freshUntilMs;
    const isUsable = entry.keys !== null && nowMs - entry.fetchedAtMs < MAX_STALE_MS;
    if (!isUsable || overdueMs > BACKGROUND_MS) await this.#refresh(issuer, entry);
    else if (overdueMs >= 0) void this.#refresh(issuer, entry);
    const selected = select(this.#usableKeys(entry));
    if (selected !== null || this.#isRecent(entry)) return selected;
    await this.#refresh(issuer, entry);
    return select(this.#usableKeys(entry));
  }

  #entryOf(issuer: KeyedIssuer): Entry {
    const source = JSON.stringify([issuer.issuer, issuer.keys]);
    const existing = this.#entries.get(issuer.id);
    if (existing?.source === source) return existing;
    const isStatic = issuer.keys.from === 'static';
    const entry: Entry = {
      source,
      keys: isStatic ? readStored(issuer.keys.staticJwks) : null,
      fetchedAtMs: isStatic ? Infinity : -Infinity,
      freshUntilMs: -Infinity,
      attemptedAtMs: -Infinity,
      lastFault: isStatic ? 'the stored key set has no usable key' : '',
      inFlight: null,
    };
    this.#entries.set(issuer.id, entry);
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
    return entry;
  }

  #usableKeys({ keys, fetchedAtMs, lastFault, inFlight }: Entry): readonly OutsideKey[] {
    if (keys !== null && this.#options.nowMs() - fetchedAtMs < MAX_STALE_MS) return keys;
    throw new Rejected({
      kind: 'issuer-keys-unavailable',
      cause: lastFault,
      retryAfterMs: inFlight === null ? MIN_INTERVAL_MS : RETRY_AFTER_MS,
    });
  }

  #isRecent({ attemptedAtMs, inFlight }: Entry): boolean {
    return inFlight === null && this.#options.nowMs() - attemptedAtMs < MIN_INTERVAL_MS;
  }

  /** Resolves when the request that is under way, or a new one if one may be sent, has ended. Never rejects. */
  #refresh(issuer: KeyedIssuer, entry: Entry): Promise<void> {
    if (entry.inFlight !== null) return entry.inFlight;
    if (this.#isRecent(entry)) return Promise.resolve();
    entry.attemptedAtMs = this.#options.nowMs();
    const fetching = this.#fetch(issuer, entry).finally(() => (entry.inFlight = null));
    entry.inFlight = withTimeout(fetching, this.#options.maxWaitMs ?? MAX_WAIT_MS, () => {
      entry.lastFault = STILL_FETCHING;
    });
    return entry.inFlight;
  }

  async #fetch(issuer: KeyedIssuer, entry: Entry): Promise<void> {
    try {
      const { keys, maxAgeMs } = await this.#options.fetch(issuer);
      const nowMs = this.#options.nowMs();
      entry.keys = keys;
      entry.fetchedAtMs = nowMs;
      entry.freshUntilMs = nowMs + Math.max(maxAgeMs, MIN_FRESH_MS);
    } catch (error) {
      entry.lastFault = error instanceof Error ? error.message : 'unknown';
      this.#options.onFault(issuer, entry.lastFault);
    }
  }
}

/** A stored set was checked when it was given; null when something else has written the row since. */
function readStored(json: string): readonly OutsideKey[] | null {
  try {
    return readOutsideKeySet(json);
  } catch (error) {
    if (error instanceof KeyRefused) return null;
    throw error;
  }
}
