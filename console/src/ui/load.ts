import { html, nothing, type TemplateResult } from 'lit-html';

import { Refusal } from '../rpc.ts';
import { update } from '../update.ts';

type State<T> =
  | { readonly kind: 'loading' }
  | { readonly kind: 'loaded'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown };

/** Something that a page reads from the service, begun at once. A failure is shown with a way to repeat it. */
export class Load<T> {
  readonly #read: () => Promise<T>;
  #state: State<T> = { kind: 'loading' };
  #reads = 0;

  constructor(read: () => Promise<T>) {
    this.#read = read;
    void this.reload();
  }

  /** The value, once it was read. */
  get value(): T | null {
    return this.#state.kind === 'loaded' ? this.#state.value : null;
  }

  /** Reads again. What was read before stays visible meanwhile. */
  async reload(): Promise<void> {
    const number = (this.#reads += 1);
    if (this.#state.kind === 'failed') this.#state = { kind: 'loading' };
    update();
    const state = await this.#read().then<State<T>, State<T>>(
      (value) => ({ kind: 'loaded', value }),
      (error: unknown) => ({ kind: 'failed', error }),
    );
    if (number !== this.#reads) return;
    this.#state = state;
    update();
  }

  /** Replaces what was read by what a change has returned. */
  set(value: T): void {
    this.#reads += 1;
    this.#state = { kind: 'loaded', value };
    update();
  }

  view(show: (value: T) => TemplateResult): TemplateResult {
    const state = this.#state;
    switch (state.kind) {
      case 'loading':
        return html`<p class="loading" role="status">Loading…</p>`;
      case 'loaded':
        return show(state.value);
      case 'failed':
        return html`${errorView(state.error)}
          <button type="button" @click=${() => void this.reload()}>Try again</button>`;
    }
  }
}

/** An error with its reason and its request id. @param advice what happens next, or what to do */
export function errorView(error: unknown, advice = ''): TemplateResult {
  if (!(error instanceof Refusal))
    return html`<div class="error" role="alert"><p>The console has a fault: ${String(error)}</p></div>`;
  const { message, reason, requestId } = error;
  return html`<div class="error" role="alert">
    <p>${sentence(message)}</p>
    ${advice === '' ? nothing : html`<p>${advice}</p>`}
    ${
      reason === '' && requestId === ''
        ? nothing
        : html`<p class="detail">
            ${reason === '' ? nothing : html`<code>${reason}</code>`}
            ${requestId === '' ? nothing : html`request <code>${requestId}</code>`}
          </p>`
    }
  </div>`;
}

/** Begins with a capital, unless the first word is a name such as `postern.v1.LoginRequest` or `POSTERN_CONSOLE`. */
function sentence(message: string): string {
  return /^[a-z]+[ ,']/.test(message) ? message.charAt(0).toUpperCase() + message.slice(1) : message;
}
