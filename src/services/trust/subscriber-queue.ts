import { Rejected } from '../../domain/rejection.ts';
import { EncodedMessage } from '../../rpc/encoded-message.ts';
import type { StreamCall } from '../../rpc/handlers.ts';

const MAX_PENDING_UPDATES = 1_024;
const MAX_PENDING_BYTES = 1024 * 1024;

/**
 * The updates of one subscriber that are not sent yet. The queue is bounded: when a slow subscriber exceeds a limit,
 * its stream ends, and it can resume with its cursor.
 */
export class SubscriberQueue {
  readonly #call: StreamCall;
  #pending: (EncodedMessage | (() => EncodedMessage))[] = [];
  #pendingBytes = 0;
  #hasHeartbeat = false;
  #wake: (() => void) | null = null;

  constructor(call: StreamCall) {
    this.#call = call;
    call.signal.addEventListener('abort', () => this.#wake?.(), { once: true });
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

  /**
   * Adds a heartbeat, unless one is waiting. It is encoded when it is sent: behind a large round it waits for seconds, and with
   * an age from before them the subscriber would take itself for fresher than it is. A subscriber with pending updates needs
   * it as well: under constant load it always has some, and only a heartbeat says how old they are.
   */
  pushHeartbeat(encode: () => EncodedMessage): void {
    if (this.#hasHeartbeat) return;
    this.#hasHeartbeat = true;
    this.#pending.push(encode);
    this.#wake?.();
  }

  /** Yields the updates in order until the call ends. */
  async *updates(): AsyncGenerator<EncodedMessage, void, undefined> {
    while (!this.#call.signal.aborted) {
      const batch = this.#pending;
      this.#pending = [];
      this.#pendingBytes = 0;
      for (const update of batch) {
        if (update instanceof EncodedMessage) yield update;
        else {
          this.#hasHeartbeat = false;
          yield update();
        }
      }
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
