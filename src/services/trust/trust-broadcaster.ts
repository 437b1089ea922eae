import type { ClaimsPolicy } from '../../domain/claims.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import type { TrustBundle, TrustChange } from '../../trust/trust-bundle.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import { formatCursor } from './trust-cursor.ts';
import type { SubscriberQueue } from './subscriber-queue.ts';
import { heartbeatUpdate, keysUpdate, revocationUpdates } from './trust-updates.ts';

const HEARTBEAT_EVERY_MS = 2_000;
/** With a thousand watchers at most ten rounds a second, so that a storm of logouts does not starve verification. */
const PAUSE_MS_PER_WATCHER = 0.1;

/** Tells every watcher what changes, each change encoded once for all of them. Idle while nobody watches. */
export class TrustBroadcaster {
  readonly #trust: TrustBundle;
  readonly #policy: ClaimsPolicy;
  readonly #watchers = new Set<SubscriberQueue>();
  #pending = new Map<string, Revocation>();
  #sentCursor = '';
  #lastSentMs = -Infinity;
  #sendTimer: NodeJS.Timeout | undefined;
  #heartbeatTimer: NodeJS.Timeout | undefined;
  #unsubscribeFromTrust: (() => void) | undefined;

  constructor(trust: TrustBundle, policy: ClaimsPolicy) {
    this.#trust = trust;
    this.#policy = policy;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Everything that the bundle takes from now on reaches the watcher, until `leave`. */
  subscribe(watcher: SubscriberQueue): void {
    this.#watchers.add(watcher);
    if (this.#unsubscribeFromTrust) return;
    this.#sentCursor = this.#cursor();
    this.#unsubscribeFromTrust = this.#trust.subscribe((change) => this.#onChange(change));
    this.#heartbeatTimer = setInterval(() => this.#heartbeat(), HEARTBEAT_EVERY_MS);
  }

  unsubscribe(watcher: SubscriberQueue): void {
    this.#watchers.delete(watcher);
    if (this.#watchers.size > 0) return;
    this.#unsubscribeFromTrust?.();
    this.#unsubscribeFromTrust = undefined;
    clearInterval(this.#heartbeatTimer);
    clearTimeout(this.#sendTimer);
    this.#sendTimer = undefined;
    this.#pending = new Map();
  }

  #onChange(change: TrustChange): void {
    if (change.kind === 'keys') {
      this.#sendPending();
      this.#push(keysUpdate(this.#cursor(), this.#trust.keys().jwks.json, this.#policy));
      return;
    }
    for (const revocation of change.revocations) {
      this.#pending.set(`${revocation.kind} ${revocation.id}`, revocation);
    }
    if (this.#sendTimer) return;
    // Never within the callback: several pages, or several logouts of one moment, are one round. But ahead of the answer
    // to who revoked: a process that is killed right after it has told its watchers.
    const pauseMs = this.#lastSentMs + this.#watchers.size * PAUSE_MS_PER_WATCHER - performance.now();
    if (pauseMs <= 0) queueMicrotask(() => this.#sendPending());
    else this.#sendTimer = setTimeout(() => this.#sendPending(), pauseMs);
  }

  /**
   * The bundle's cursor is a safe label only here, where nothing is untold: every revocation before it that the bundle
   * took since a watcher joined is in this round or was in one before.
   */
  #sendPending(): void {
    clearTimeout(this.#sendTimer);
    this.#sendTimer = undefined;
    if (this.#pending.size === 0) return;
    const revocations = this.#pending.values();
    this.#pending = new Map();
    const labels = { before: this.#sentCursor, cursor: this.#cursor(), snapshot: false };
    for (const update of revocationUpdates(revocations, labels)) this.#push(update);
    this.#sentCursor = labels.cursor;
    this.#lastSentMs = performance.now();
  }

  #heartbeat(): void {
    this.#sendPending();
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
