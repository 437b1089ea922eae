import { Worker } from 'node:worker_threads';
import type { HashResponse, HashRequest } from './hash-messages.ts';

interface PendingRequest {
  resolve(response: HashResponse): void;
  reject(error: Error): void;
}

/** One worker thread that runs one job at a time. It keeps the process alive only while it has a job. */
export class HashThread {
  readonly #worker: Worker;
  #pending: PendingRequest | undefined;
  #lastError: unknown;

  /** @param onExit called once, when the thread has ended for any reason, before its job is rejected */
  constructor(url: URL, onExit: (thread: HashThread) => void) {
    // The thread gets neither the environment, which holds secrets, nor the flags of the process.
    this.#worker = new Worker(url, { name: 'password-hash', env: {}, argv: [], execArgv: [] });
    this.#worker.unref();
    this.#worker.on('message', (response: HashResponse) => {
      this.#takePending()?.resolve(response);
    });
    this.#worker.on('error', (error) => {
      this.#lastError = error;
    });
    this.#worker.on('exit', () => {
      onExit(this);
      this.#takePending()?.reject(
        new Error('a password hashing thread ended during a job', { cause: this.#lastError }),
      );
    });
  }

  /** Rejects with an Error when the thread ends first. Call it only after the previous job has ended. */
  run(request: HashRequest): Promise<HashResponse> {
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      this.#worker.ref();
      this.#worker.postMessage(request);
    });
  }

  /** Ends the thread, after the current hash: native code cannot be interrupted. */
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
