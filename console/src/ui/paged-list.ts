import { html, nothing, type TemplateResult } from 'lit-html';

import { update } from '../update.ts';
import { Load } from './load.ts';

/** One page of a list of the service. */
interface ListPage<Item> {
  readonly items: readonly Item[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** A list that is read page by page, with keyset tokens: a later page costs as much as the first. */
export class PagedList<Item> {
  readonly #read: (pageToken: string) => Promise<ListPage<Item>>;
  /** The tokens of the pages up to this one. */
  readonly #tokens: string[] = [''];
  #page: Load<ListPage<Item>>;

  constructor(read: (pageToken: string) => Promise<ListPage<Item>>) {
    this.#read = read;
    this.#page = new Load(() => read(''));
  }

  reload(): Promise<void> {
    return this.#page.reload();
  }

  /** @param table shows the items of a page @param none what is said of an empty list, once all of it was read */
  view(table: (items: readonly Item[]) => TemplateResult, none: string): TemplateResult {
    return this.#page.view(
      ({ items, nextPageToken }) => html`
        ${
          items.length > 0
            ? table(items)
            : html`<p class="none">
                ${nextPageToken === '' ? none : 'Nothing found yet. “Next” goes on from here.'}
              </p>`
        }
        ${
          this.#tokens.length === 1 && nextPageToken === ''
            ? nothing
            : html`<nav class="pager" aria-label="Pages of the list">
                <button type="button" ?disabled=${this.#tokens.length === 1} @click=${() => this.#back()}>
                  Previous
                </button>
                <span role="status">Page ${this.#tokens.length}</span>
                <button
                  type="button"
                  ?disabled=${nextPageToken === ''}
                  @click=${() => this.#open([...this.#tokens, nextPageToken])}
                >
                  Next
                </button>
              </nav>`
        }
      `,
    );
  }

  #back(): void {
    this.#open(this.#tokens.slice(0, -1));
  }

  #open(tokens: readonly string[]): void {
    this.#tokens.splice(0, Infinity, ...tokens);
    const token = tokens.at(-1) ?? '';
    this.#page = new Load(() => this.#read(token));
    update();
  }
}
