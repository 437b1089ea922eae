import type { TemplateResult } from 'lit-html';

/** What a path shows, until another path is opened. */
export interface Page {
  readonly title: string;
  view(): TemplateResult;
  /** Ends what the page does in the background. */
  leave?(): void;
}

/** The part of the address after `#/`: its segments, and its query. */
export interface Route {
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
}

export function currentRoute(): Route {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split(/\?(.*)/s);
  return {
    segments: path
      .split('/')
      .filter((segment) => segment !== '')
      .map(decoded),
    query: new URLSearchParams(query),
  };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The address of a page of the console, for links. Empty members of the query are left out. */
export function href(segments: readonly string[], query: Readonly<Record<string, string>> = {}): string {
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== '')).toString();
  return `#/${segments.map(encodeURIComponent).join('/')}${search === '' ? '' : `?${search}`}`;
}

/** Opens a page of the console. */
export function navigate(segments: readonly string[], query: Readonly<Record<string, string>> = {}): void {
  location.hash = href(segments, query);
}
