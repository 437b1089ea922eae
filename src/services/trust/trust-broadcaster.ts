import type { ClaimsPolicy } from '../../domain/claims/claims.ts';
import type { Revocation } from '../../domain/revocation-set.ts';
import type { TrustBundle, TrustChange } from '../../trust/trust-bundle.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import { formatCursor } from '../../trust/trust-cursor.ts';
import type { SubscriberQueue } from './subscriber-queue.ts';
import { heartbeatUpdate, keysUpdate, revocationUpdates } from './trust-updates.ts';

const HEARTBEAT_EVERY_MS = 2_000;
/**
 * Limits 1,000 subscribers to ten rounds of updates per second, so that many logouts at once do not starve
 * verification.
 */
const PAUSE_MS_PER_SUBSCRIBER = 0.1;

/**
 * Sends each change of the trust bundle to every subscriber, encoded once for all. Without subscribers it has no timer
 * and does not listen to the bundle.
 */
export class TrustBroadcaster {
  readonly relayPath: () => readonly string[];
  readonly #trust: TrustBundle;
  readonly #policy: () => ClaimsPolicy;
  readonly #subscribers = new Set<SubscriberQueue>();
  #pending = new Map<string, Revocation>();
  #sentCursor = '';
  #lastSentMs = -Infinity;
  #sendTimer: NodeJS.Timeout | undefined;
  #heartbeatTimer: NodeJS.Timeout | undefined;
  #unsubscribeFromTrust: (() => void) | undefined;

  /** @param relayPath the relays that the stream comes through, that of this process first; empty in the service */
  constructor(trust: TrustBundle, policy: () => ClaimsPolicy, relayPath: () => readonly string[] = () => []) {
    this.#trust = trust;
    this.#policy = policy;
    this.relayPath = relayPath;
  }

  /** The number of subscribers. */
  get watchers(): number {
    return this.#subscribers.size;
  }

  /** Every change of the bundle from now on goes into the subscriber's queue, until `unsubscribe`. */
  subscribe(subscriber: SubscriberQueue): void {
    this.#subscribers.add(subscriber);
    if (this.#unsubscribeFromTrust) return;
    this.#sentCursor = this.#cursor();
    this.#unsubscribeFromTrust = this.#trust.subscribe((change) => this.#onChange(change));
    this.#heartbeatTimer = setInterval(() => this.#heartbeat(), HEARTBEAT_EVERY_MS);
  }

  unsubscribe(subscriber: SubscriberQueue): void {
    this.#subscribers.delete(subscriber);
    if (this.#subscribers.size > 0) return;
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
      this.#push([keysUpdate(this.#cursor(), this.#trust.keys().jwks.json, this.#policy())]);
      return;
    }
    for (const revocation of change.revocations) {
      this.#pending.set(`${revocation.kind} ${revocation.id}`, revocation);
    }
    if (this.#sendTimer) return;
    // Not in the callback itself, so that several pages or simultaneous logouts become one round. But in a microtask,
    // so that subscribers get the revocation before its caller gets the response, even if the process is killed right
    // after.
    const pauseMs = this.#lastSentMs + this.#subscribers.size * PAUSE_MS_PER_SUBSCRIBER - performance.now();
    if (pauseMs <= 0) queueMicrotask(() => this.#sendPending());
    else this.#sendTimer = setTimeout(() => this.#sendPending(), pauseMs);
  }

  /**
   * Sends all pending revocations as one round. Only here may updates carry the bundle's cursor, because nothing else
   * is pending: every revocation before the cursor that the bundle took since a subscriber subscribed is in this round
   * or was in an earlier one.
   */
  #sendPending(): void {
    clearTimeout(this.#sendTimer);
    this.#sendTimer = undefined;
    if (this.#pending.size === 0) return;
    const revocations = this.#pending.values();
    this.#pending = new Map();
    const cursor = this.#cursor();
    const round = { previousCursor: this.#sentCursor, cursor, snapshot: false };
    this.#push([...revocationUpdates(revocations, round)]);
    this.#sentCursor = cursor;
    this.#lastSentMs = performance.now();
  }

  #heartbeat(): void {
    this.#sendPending();
    const cursor = this.#cursor();
    const knownAtMs = performance.now() - this.#trust.ageMs;
    const relayPath = this.relayPath();
    const encode = () => heartbeatUpdate(cursor, performance.now() - knownAtMs, relayPath);
    for (const subscriber of this.#subscribers) subscriber.pushHeartbeat(encode);
  }

  #push(round: readonly EncodedMessage[]): void {
    for (const subscriber of this.#subscribers) subscriber.push(round);
  }

  #cursor(): string {
    const { cursor } = this.#trust;
    return cursor === null ? '' : formatCursor(cursor);
  }
}
