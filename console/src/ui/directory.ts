import { isId } from './short-id.ts';

/** A page of a list in the order of its ids. */
interface DirectoryPage<Item> {
  readonly items: readonly Item[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
}

/** The largest page that the service gives. */
const MAX_PAGE = 1_000;
/** A search shows what it has found after this many pages, so that none takes long. */
const PAGES_PER_SEARCH = 10;

/**
 * Finds things by their ids in a list of the service that has no filter for them. The list is in the order of the ids, so
 * reading begins at the nearest place before the id that any read has passed, and ends as soon as the id was passed. What was
 * seen in a list before is found by one call.
 */
export class Directory<Item> {
  readonly #read: (pageSize: number, pageToken: string) => Promise<DirectoryPage<Item>>;
  readonly #idOf: (item: Item) => string;
  /** The token of the page that continues after an id. Tokens stay valid. */
  readonly #continuations = new Map<string, string>([['', '']]);

  constructor(
    read: (pageSize: number, pageToken: string) => Promise<DirectoryPage<Item>>,
    idOf: (item: Item) => string,
  ) {
    this.#read = read;
    this.#idOf = idOf;
  }

  /** One page of the list. @param pageSize 0: the default of the service */
  async page(pageToken: string, pageSize = 0): Promise<DirectoryPage<Item>> {
    const page = await this.#read(pageSize, pageToken);
    const last = page.items.at(-1);
    if (last !== undefined && page.nextPageToken !== '')
      this.#continuations.set(this.#idOf(last), page.nextPageToken);
    return page;
  }

  /** What has one of the ids, by id. Those that do not exist are absent. */
  async find(ids: Iterable<string>): Promise<Map<string, Item>> {
    const found = new Map<string, Item>();
    const missing = [...new Set(ids)].filter(isId).sort();
    let [next] = missing;
    let token = next === undefined ? '' : this.#tokenBefore(next);
    // Behind a known place it is most likely on the page that a list has shown.
    let pageSize = token === '' ? MAX_PAGE : 0;
    while (next !== undefined) {
      const { items, nextPageToken } = await this.page(token, pageSize);
      for (const item of items) if (missing.includes(this.#idOf(item))) found.set(this.#idOf(item), item);
      const last = items.at(-1);
      if (last === undefined || nextPageToken === '') break;
      const passed = this.#idOf(last);
      next = missing.find((id) => id > passed);
      token = next === undefined ? '' : this.#tokenBefore(next);
      pageSize = MAX_PAGE;
    }
    return found;
  }

  /** The items that match, from a page on: a page of a list of its own. */
  async search(matches: (item: Item) => boolean, pageToken: string): Promise<DirectoryPage<Item>> {
    const items: Item[] = [];
    let token = pageToken;
    for (let pages = 0; pages < PAGES_PER_SEARCH; pages += 1) {
      const page = await this.page(token, MAX_PAGE);
      items.push(...page.items.filter(matches));
      token = page.nextPageToken;
      if (token === '' || items.length >= 50) break;
    }
    return { items, nextPageToken: token };
  }

  #tokenBefore(id: string): string {
    let nearest: readonly [string, string] = ['', ''];
    for (const place of this.#continuations) if (place[0] < id && place[0] >= nearest[0]) nearest = place;
    return nearest[1];
  }
}
