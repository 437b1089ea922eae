import { Rejected } from '../../domain/rejection.ts';
import type { EncodedMessage } from '../../rpc/encoded-message.ts';
import type { StreamCall } from '../../rpc/handlers.ts';

const MAX_PENDING_UPDATES = 1_024;
const MAX_PENDING_BYTES = 1024 * 1024;

/** One watcher's updates that are not sent yet. Bounded: a reader that falls behind is closed, and resumes by cursor. */
export class SubscriberQueue {
  readonly #call: StreamCall;
  #pending: EncodedMessage[] = [];
  #pendingBytes = 0;
  #resume: (() => void) | null = null;

  constructor(call: StreamCall) {
    this.#call = call;
    call.signal.addEventListener('abort', () => this.#resume?.(), { once: true });
  }

  get isBehind(): boolean {
    return this.#pending.length > 0;
  }

  push(update: EncodedMessage): void {
    this.#pending.push(update);
    this.#pendingBytes += update.bytes.length;
    if (this.#pending.length > MAX_PENDING_UPDATES || this.#pendingBytes > MAX_PENDING_BYTES) {
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#call.fail(new Rejected({ kind: 'reader-too-slow' }));
    }
    this.#resume?.();
  }

  /** Ends when the call does. */
  async *updates(): AsyncGenerator<EncodedMessage, void, undefined> {
    while (!this.#call.signal.aborted) {
      const batch = this.#pending;
      this.#pending = [];
      for (const update of batch) {
        this.#pendingBytes -= update.bytes.length;
        yield update;
      }
      if (this.#pending.length === 0) await this.#next();
    }
  }

  async #next(): Promise<void> {
    if (this.#call.signal.aborted) return;
    await new Promise<void>((resolve) => (this.#resume = resolve));
    this.#resume = null;
  }
}
