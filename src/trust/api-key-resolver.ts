import { hash } from 'node:crypto';

import { isScannableSecret } from '../crypto/api-secret.ts';
import type { PresentedApiKey } from '../domain/claims/api-key.ts';
import { audienceFault, type ClaimsPolicy, type VerifiedClaims } from '../domain/claims/claims.ts';
import { BoundedQueue, type QueueRules } from '../domain/concurrency/bounded-queue.ts';
import { sleepUnlessAborted } from '../domain/concurrency/sleep.ts';
import { LruMap } from '../domain/lru-map.ts';
import { Rejected, RETRY_AFTER_MS } from '../domain/rejection.ts';
import type { ApiKeyGrant } from '../generated/postern/v1/trust.ts';
import { type CachedGrant, type Clocks, grantOf, isOutdated, remainingSeconds } from './api-key-grant.ts';
import type { TrustBundle } from './trust-bundle.ts';

export interface ApiKeyResolverOptions {
  readonly bundle: Pick<TrustBundle, 'isTokenIdRevoked'>;
  /** Null before the first keys. */
  readonly policy: () => Pick<ClaimsPolicy, 'issuer' | 'audiences'> | null;
  /** Calls ResolveApiKey with the SHA-256 digest of a key. Null when there is no such key. Rejects when there is no answer. */
  readonly lookUp: (keySha256: Buffer) => Promise<ApiKeyGrant | null>;
  /** Unix time, ms: the clock by which tokens are judged. */
  readonly nowMs?: () => number;
  /** Monotonic time, ms. */
  readonly monotonicMs?: () => number;
}

/** How many keys, and how many unknown keys, are remembered. */
const MAX_REMEMBERED = 10_000;
/** How long a key that the service does not know is refused without another call. */
const UNKNOWN_FOR_MS = 10_000;
/** Calls under way at a time. Of unknown keys no more than this many wait; others are refused. */
const MAX_CALLS = 16;
const MAX_WAITING = 100;
/** A look-up that has waited for longer is refused: its caller has given up. */
const MAX_WAIT_MS = 1_000;
/** A grant in use is renewed after this share of its time, so that no caller waits for it, and a short outage ends no key. */
const RENEW_AT_FRACTION = 0.8;
/** The pause after a renewal that failed. */
const RETRY_RENEWAL_MS = 5_000;
/** An instance may answer with a state whose end the stream has announced already: it reads its database twice a second. */
const VOID_ANSWERS = { attempts: 4, pauseMs: 250 };

/**
 * Verifies API keys in a process that cannot compute their stored digests. It asks the service once for each key, keeps the
 * answer, and compares it at each use with the revocations of the trust stream. Keys are remembered by their SHA-256
 * digests, never themselves.
 *
 * The caller has to make sure that the trust bundle is loaded and fresh, as for a token.
 */
export class ApiKeyResolver {
  readonly #options: ApiKeyResolverOptions;
  readonly #grants = new LruMap<CachedGrant>(MAX_REMEMBERED);
  /** Until when a key is refused, monotonic time, ms. */
  readonly #unknown = new LruMap<number>(MAX_REMEMBERED);
  readonly #pending = new Map<string, Promise<CachedGrant | null>>();
  readonly #lookUps: BoundedQueue;
  /** Known keys do not wait behind a flood of unknown ones. They are as many as are remembered at most. */
  readonly #renewals: BoundedQueue;

  constructor(options: ApiKeyResolverOptions) {
    this.#options = options;
    const watch: QueueRules<void>['watch'] = (_call, cancel) => {
      const timer = setTimeout(
        () => cancel(overloaded('the look-up of an API key waited too long')),
        MAX_WAIT_MS,
      );
      return () => clearTimeout(timer);
    };
    const whenFull = () => overloaded('too many API keys are being looked up');
    this.#lookUps = new BoundedQueue({
      concurrency: MAX_CALLS,
      waitingLimit: { max: MAX_WAITING, whenFull },
      watch,
    });
    this.#renewals = new BoundedQueue({ concurrency: MAX_CALLS, watch });
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#grants.size;
  }

  /**
   * Returns the claims of a token with the rights of the key; synchronously for a key that is remembered.
   *
   * @throws Rejected `api-key-invalid`, `token-refused` for another audience, `trust-stale` while the service does not
   *   answer, `server-overloaded` while too many unknown keys are looked up
   */
  verify(presented: PresentedApiKey): VerifiedClaims | Promise<VerifiedClaims> {
    const digest = hash('sha256', presented.key, 'binary');
    const remembered = this.#remembered(digest);
    if (remembered !== undefined) return this.#accept(remembered, presented);
    if (!isScannableSecret('pak_', presented.key))
      throw new Rejected({ kind: 'api-key-invalid', cause: 'malformed' });
    return this.#ask(digest).then((grant) => this.#accept(grant, presented));
  }

  /**
   * What the service answers about a key, for somebody else who verifies it; with the time that is left of an answer that is
   * remembered. Null when there is no such key.
   *
   * @throws Rejected as `verify`, `trust-stale` or `server-overloaded`
   */
  async answerOf(keySha256: Uint8Array): Promise<ApiKeyGrant | null> {
    const digest = Buffer.from(keySha256).toString('latin1');
    const remembered = this.#remembered(digest);
    const grant = remembered === undefined ? await this.#ask(digest) : remembered;
    if (grant === null || grant.claims.expiresAtSeconds <= this.#nowMs() / 1000) return null;
    return { ...grant.answer, maxAge: remainingSeconds(grant, this.#clocks()) };
  }

  /** Null for a key that is known not to exist, undefined when the service has to be asked. */
  #remembered(digest: string): CachedGrant | null | undefined {
    const known = this.#grants.get(digest);
    if (known === undefined) return this.#isUnknown(digest) ? null : undefined;
    const standing = this.#standingOf(known);
    if (standing === 'ended') return this.#forget(digest);
    if (standing === 'void' || isOutdated(known, this.#clocks())) return undefined;
    if (this.#monotonicMs() >= known.renewAtMs) this.#renew(digest, known);
    return known;
  }

  #isUnknown(digest: string): boolean {
    const untilMs = this.#unknown.get(digest);
    if (untilMs === undefined) return false;
    if (this.#monotonicMs() < untilMs) return true;
    this.#unknown.delete(digest);
    return false;
  }

  /** `void`: the key or its owner has changed, and the next answer may be valid. `ended`: there is no key any more. */
  #standingOf({ id, revocationId }: CachedGrant): 'valid' | 'void' | 'ended' {
    const { bundle } = this.#options;
    if (bundle.isTokenIdRevoked(id)) return 'ended';
    return bundle.isTokenIdRevoked(revocationId) ? 'void' : 'valid';
  }

  #accept(grant: CachedGrant | null, { address, requiredAudience }: PresentedApiKey): VerifiedClaims {
    if (grant === null) throw new Rejected({ kind: 'api-key-invalid', cause: 'unknown' });
    const { id, claims, allows } = grant;
    const invalid = (cause: 'expired' | 'unknown' | 'network') =>
      new Rejected({ kind: 'api-key-invalid', cause, subject: { target: { type: 'api-key', id } } });
    if (claims.expiresAtSeconds <= this.#nowMs() / 1000) throw invalid('expired');
    // An audience that was removed since: no token for it is accepted either.
    if (!this.#policy().audiences.includes(claims.audience[0] ?? '')) throw invalid('unknown');
    if (allows !== null && (address === null || !allows(address))) throw invalid('network');
    const refusal = audienceFault(claims, requiredAudience);
    if (refusal !== null) throw new Rejected({ kind: 'token-refused', refusal });
    return claims;
  }

  /** Concurrent callers with the same key share one call. */
  #ask(digest: string): Promise<CachedGrant | null> {
    const pending = this.#pending.get(digest);
    if (pending !== undefined) return pending;
    const queue = this.#grants.get(digest) === undefined ? this.#lookUps : this.#renewals;
    const answer = queue.run(() => this.#askNow(digest)).finally(() => this.#pending.delete(digest));
    this.#pending.set(digest, answer);
    return answer;
  }

  /** Nobody waits for the answer: without one the grant is used until its time is over. */
  #renew(digest: string, grant: CachedGrant): void {
    grant.renewAtMs = this.#monotonicMs() + RETRY_RENEWAL_MS;
    this.#ask(digest).catch(() => undefined);
  }

  async #askNow(digest: string): Promise<CachedGrant | null> {
    const { lookUp } = this.#options;
    for (let attempt = 1; attempt <= VOID_ANSWERS.attempts; attempt += 1) {
      const askedAt = this.#clocks();
      const answer = await lookUp(Buffer.from(digest, 'latin1'));
      if (answer === null) return this.#forget(digest);
      const grant = grantOf(answer, this.#policy().issuer, askedAt, RENEW_AT_FRACTION);
      const standing = this.#standingOf(grant);
      if (standing === 'ended') return this.#forget(digest);
      if (standing === 'valid') {
        this.#unknown.delete(digest);
        this.#grants.set(digest, grant);
        return grant;
      }
      await sleepUnlessAborted(VOID_ANSWERS.pauseMs, undefined);
    }
    throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
  }

  #forget(digest: string): null {
    this.#grants.delete(digest);
    this.#unknown.set(digest, this.#monotonicMs() + UNKNOWN_FOR_MS);
    return null;
  }

  #policy(): Pick<ClaimsPolicy, 'issuer' | 'audiences'> {
    const policy = this.#options.policy();
    if (policy === null) throw new Rejected({ kind: 'trust-stale', retryAfterMs: RETRY_AFTER_MS });
    return policy;
  }

  #clocks(): Clocks {
    return { wallMs: this.#nowMs(), monotonicMs: this.#monotonicMs() };
  }

  #nowMs(): number {
    return (this.#options.nowMs ?? Date.now)();
  }

  #monotonicMs(): number {
    return this.#options.monotonicMs?.() ?? performance.now();
  }
}

function overloaded(cause: string): Rejected {
  return new Rejected({ kind: 'server-overloaded', cause, retryAfterMs: RETRY_AFTER_MS });
}
