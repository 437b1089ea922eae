import { loggedIn } from '../session.ts';

/** `absent`: there is no user or service account with this id any more, or there never was. */
type Name = { readonly kind: 'known'; readonly name: string } | { readonly kind: 'reading' | 'absent' };

/** Names by id, of whatever pages have read. */
const names = new Map<string, Name>();
/** For whom they were read: whoever logs in next may not read them. */
let reader = '';
/** The most names that are kept; an administrator who reads for days must not fill the memory of the browser. */
const MAX_NAMES = 10_000;

/** Keeps a name that a page has read, so that other pages show it. @param name the e-mail of a user, the name of an account */
export function rememberName(id: string | undefined, name: string | undefined): void {
  if (id === undefined || id === '' || name === undefined || name === '') return;
  keepName(id, { kind: 'known', name });
}

export function nameOf(id: string): Name | undefined {
  forgetOfOthers();
  return names.get(id);
}

/** @param name null: it is read again at the next occasion */
export function keepName(id: string, name: Name | null): void {
  forgetOfOthers();
  if (names.size >= MAX_NAMES) names.clear();
  if (name === null) names.delete(id);
  else names.set(id, name);
}

function forgetOfOthers(): void {
  const user = loggedIn()?.userId ?? '';
  if (user === reader) return;
  reader = user;
  names.clear();
}
