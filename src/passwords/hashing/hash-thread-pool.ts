import type { HashResponse, HashRequest } from './hash-messages.ts';
import { HashThread } from './hash-thread.ts';

/**
 * The hashing threads: started when there is a job and none is idle (30 ms and 14 MB each), kept from then on. A
 * thread that ends by itself is replaced at the next job. How many there may be is the gate's to say.
 */
export class HashThreadPool {
  readonly #url: URL;
  readonly #all = new Set<HashThread>();
  readonly #idle: HashThread[] = [];

  constructor(url: URL) {
    this.#url = url;
  }

  async run(job: HashRequest): Promise<HashResponse> {
    const thread = this.#idle.pop() ?? this.#start();
    try {
      return await thread.run(job);
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
