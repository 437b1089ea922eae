import { html, nothing, type TemplateResult } from 'lit-html';

import { update } from '../update.ts';
import { errorView } from './load.ts';

/** A change that a person starts, once at a time, with its failure shown beside it. */
export class Action {
  #isRunning = false;
  #error: unknown = null;

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Runs the work, unless it runs already. Returns whether it succeeded. */
  async run(work: () => Promise<unknown>): Promise<boolean> {
    if (this.#isRunning) return false;
    this.#isRunning = true;
    this.#error = null;
    update();
    try {
      await work();
      return true;
    } catch (error) {
      this.#error = error;
      return false;
    } finally {
      this.#isRunning = false;
      update();
    }
  }

  /** Forgets the failure. */
  reset(): void {
    this.#error = null;
  }

  /** The failure, if there is one. */
  failure(): TemplateResult | typeof nothing {
    return this.#error === null ? nothing : html`${errorView(this.#error)}`;
  }
}
