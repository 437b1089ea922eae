import { createKeyRing, type KeyRing } from '../tokens/key-ring.ts';

/** What this process currently trusts. It answers every verification from memory. */
export class TrustBundle {
  #ring: KeyRing = createKeyRing([]);
  #loaded = false;
  #waiting: (() => void)[] = [];

  /** False until the first keys have come: nothing can be judged before. */
  get loaded(): boolean {
    return this.#loaded;
  }

  keys(): KeyRing {
    return this.#ring;
  }

  replaceKeys(ring: KeyRing): void {
    this.#ring = ring;
    this.#loaded = true;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Resolves when the first keys have come, or after `limitMs`; `loaded` then tells which. */
  async firstKeys(limitMs: number): Promise<void> {
    if (this.#loaded) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
