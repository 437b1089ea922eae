import type { HashResponse, HashRequest } from './hash-messages.ts';
import { HashThread } from './hash-thread.ts';

/**
 * Pool of hashing threads. A thread starts when a job finds none idle (30 ms and 14 MB each), and is kept. A thread
 * that ends unexpectedly is replaced at the next job. The pool has no limit of its own: `HashQueue` limits the number
 * of concurrent jobs.
 */
export class HashThreadPool {
  readonly #url: URL;
  readonly #all = new Set<HashThread>();
  readonly #idle: HashThread[] = [];

  constructor(url: URL) {
    this.#url = url;
  }

  async run(request: HashRequest): Promise<HashResponse> {
    const thread = this.#idle.pop() ?? this.#start();
    try {
      return await thread.run(request);
    } finally {
      if (this.#all.has(thread)) this.#idle.push(thread);
    }
  }

  async end(): Promise<void> {
    await Promise.all([...this.#all].map((thread) => thread.end()));
  }

  #start(): HashThread {
    const started = new HashThread(this.#url, (thread) => {
      this.#all.delete(thread);
      const index = this.#idle.indexOf(thread);
      if (index >= 0) this.#idle.splice(index, 1);
    });
    this.#all.add(started);
    return started;
  }
}
