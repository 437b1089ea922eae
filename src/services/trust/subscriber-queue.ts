import { Rejected } from '../../domain/rejection.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import type { StreamCall } from '../../rpc/handlers.ts';

const MAX_PENDING_UPDATES = 1_024;
const MAX_PENDING_BYTES = 1024 * 1024;

/**
 * The updates of one subscriber that are not sent yet. The queue is bounded: when a slow subscriber exceeds a limit,
 * its stream ends, and it can resume with its cursor.
 */
export class SubscriberQueue {
  readonly #call: StreamCall;
  #pending: EncodedMessage[] = [];
  #pendingBytes = 0;
  #wake: (() => void) | null = null;

  constructor(call: StreamCall) {
    this.#call = call;
    call.signal.addEventListener('abort', () => this.#wake?.(), { once: true });
  }

  get hasPending(): boolean {
    return this.#pending.length > 0;
  }

  /**
   * Adds the updates of one round. The limits are for what waits behind the updates that are being sent. A round by itself
   * may be larger than they are (`session end-all`), and all subscribers share its bytes: if it counted, all of them would
   * lose their streams at the same moment, however fast they read.
   */
  push(round: readonly EncodedMessage[]): void {
    if (this.#pending.length >= MAX_PENDING_UPDATES || this.#pendingBytes >= MAX_PENDING_BYTES) {
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#call.fail(new Rejected({ kind: 'reader-too-slow' }));
    } else {
      for (const update of round) {
        this.#pending.push(update);
        this.#pendingBytes += update.bytes.length;
      }
    }
    this.#wake?.();
  }

  /** Yields the updates in order until the call ends. */
  async *updates(): AsyncGenerator<EncodedMessage, void, undefined> {
    while (!this.#call.signal.aborted) {
      const batch = this.#pending;
      this.#pending = [];
      this.#pendingBytes = 0;
      yield* batch;
      if (this.#pending.length === 0) await this.#nextPush();
    }
  }

  /** Resolves at the next `push`, or when the call ends. */
  async #nextPush(): Promise<void> {
    if (this.#call.signal.aborted) return;
    await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#wake = null;
  }
}
