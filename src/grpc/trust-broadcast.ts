import type { ClaimsPolicy } from '../domain/claims.ts';
import type { Revocation } from '../domain/revocation-set.ts';
import type { TrustBundle, TrustChange } from '../trust/trust-bundle.ts';
import type { EncodedMessage } from './encoded-message.ts';
import { formatCursor } from './trust-cursor.ts';
import type { TrustWatcher } from './trust-watcher.ts';
import { heartbeatUpdate, keysUpdate, revocationUpdates } from './trust-updates.ts';

const HEARTBEAT_EVERY_MS = 2_000;
/** With a thousand watchers at most ten rounds a second, so that a storm of logouts does not starve verification. */
const PAUSE_MS_PER_WATCHER = 0.1;

/** Tells every watcher what changes, each change encoded once for all of them. Idle while nobody watches. */
export class TrustBroadcast {
  readonly #trust: TrustBundle;
  readonly #policy: ClaimsPolicy;
  readonly #watchers = new Set<TrustWatcher>();
  #untold = new Map<string, Revocation>();
  #toldCursor = '';
  #lastRoundMs = -Infinity;
  #round: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(trust: TrustBundle, policy: ClaimsPolicy) {
    this.#trust = trust;
    this.#policy = policy;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Everything that the bundle takes from now on reaches the watcher, until `leave`. */
  join(watcher: TrustWatcher): void {
    this.#watchers.add(watcher);
    if (this.#unsubscribe) return;
    this.#toldCursor = this.#cursor();
    this.#unsubscribe = this.#trust.subscribe((change) => this.#take(change));
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_EVERY_MS);
  }

  leave(watcher: TrustWatcher): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    clearInterval(this.#heartbeat);
    clearTimeout(this.#round);
    this.#round = undefined;
    this.#untold = new Map();
  }

  #take(change: TrustChange): void {
    if (change.kind === 'keys') {
      this.#tellRevocations();
      this.#push(keysUpdate(this.#cursor(), this.#trust.keys().jwks.json, this.#policy));
      return;
    }
    for (const revocation of change.revocations) {
      this.#untold.set(`${revocation.kind} ${revocation.id}`, revocation);
    }
    if (this.#round) return;
    // Never within the callback: several pages, or several logouts of one moment, are one round. But ahead of the answer
    // to who revoked: a process that is killed right after it has told its watchers.
    const pauseMs = this.#lastRoundMs + this.#watchers.size * PAUSE_MS_PER_WATCHER - performance.now();
    if (pauseMs <= 0) queueMicrotask(() => this.#tellRevocations());
    else this.#round = setTimeout(() => this.#tellRevocations(), pauseMs);
  }

  /**
   * The bundle's cursor is a safe label only here, where nothing is untold: every revocation before it that the bundle
   * took since a watcher joined is in this round or was in one before.
   */
  #tellRevocations(): void {
    clearTimeout(this.#round);
    this.#round = undefined;
    if (this.#untold.size === 0) return;
    const revocations = this.#untold.values();
    this.#untold = new Map();
    const labels = { before: this.#toldCursor, cursor: this.#cursor(), snapshot: false };
    for (const update of revocationUpdates(revocations, labels)) this.#push(update);
    this.#toldCursor = labels.cursor;
    this.#lastRoundMs = performance.now();
  }

  #beat(): void {
    this.#tellRevocations();
    const update = heartbeatUpdate(this.#cursor(), this.#trust.ageMs);
    // What is pending is a sign of life already.
    for (const watcher of this.#watchers) if (!watcher.isBehind) watcher.push(update);
  }

  #push(update: EncodedMessage): void {
    for (const watcher of this.#watchers) watcher.push(update);
  }

  #cursor(): string {
    const { cursor } = this.#trust;
    return cursor === null ? '' : formatCursor(cursor);
  }
}
