import { Worker } from 'node:worker_threads';
import type { HashResponse, HashRequest } from './hash-messages.ts';

interface PendingRequest {
  resolve(answer: HashResponse): void;
  reject(error: Error): void;
}

/** One worker thread that does one job at a time. It holds the process alive while it has a job, and only then. */
export class HashThread {
  readonly #worker: Worker;
  #pending: PendingRequest | undefined;
  #fault: unknown;

  /** `onExit` is called once, when the thread has ended for whatever reason, before its job is rejected. */
  constructor(url: URL, onExit: (thread: HashThread) => void) {
    // The thread gets neither the environment (it holds secrets) nor the flags of the process.
    this.#worker = new Worker(url, { name: 'password-hash', env: {}, argv: [], execArgv: [] });
    this.#worker.unref();
    this.#worker.on('message', (answer: HashResponse) => {
      this.#takePending()?.resolve(answer);
    });
    this.#worker.on('error', (error) => {
      this.#fault = error;
    });
    this.#worker.on('exit', () => {
      onExit(this);
      this.#takePending()?.reject(
        new Error('a password hashing thread ended in the middle of a job', { cause: this.#fault }),
      );
    });
  }

  /** Rejects with an Error when the thread ends first. To be called only when the last answer is there. */
  run(job: HashRequest): Promise<HashResponse> {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#worker.ref();
      this.#worker.postMessage(job);
    });
  }

  /** Ends the thread; a hash under way is finished first, since native code cannot be interrupted. */
  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #takePending(): PendingRequest | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    this.#worker.unref();
    return pending;
  }
}
