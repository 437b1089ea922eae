import { html, type TemplateResult } from 'lit-html';

import { href } from '../router.ts';
import { admin, Refusal } from '../rpc.ts';
import { loggedIn } from '../session.ts';
import { update } from '../update.ts';
import { shortId } from './short-id.ts';

/** `absent`: there is no user or service account with this id any more, or there never was. */
type Name = { readonly kind: 'known'; readonly name: string } | { readonly kind: 'reading' | 'absent' };

/** Names by id, of whatever pages have read. */
const names = new Map<string, Name>();
/** For whom they were read: whoever logs in next may not read them. */
let reader = '';

/** Ids whose name is to be read. */
const waiting: (() => Promise<void>)[] = [];
let calls = 0;
const MAX_CALLS = 4;
/** The most names that are kept; an administrator who reads for days must not fill the memory of the browser. */
const MAX_NAMES = 10_000;
/** How long a pointer or the focus rests on an id before its name is read, ms: to pass over it asks nothing. */
const REST_MS = 250;
/** There is one pointer and one focus. */
let rest: ReturnType<typeof setTimeout> | undefined;
const leave = () => clearTimeout(rest);

/** What the audit trail and lists call an actor or a target. */
export interface Subject {
  /** As in the audit trail: `user`, `service`, `session` … */
  readonly type: string;
  readonly id: string;
}

/** Keeps a name that a page has read, so that other pages show it. @param name the e-mail of a user, the name of an account */
export function rememberName(id: string | undefined, name: string | undefined): void {
  if (id === undefined || id === '' || name === undefined || name === '') return;
  keep(id, { kind: 'known', name });
}

/** The name of a user or service account, if a page has read it. */
export function knownName(id: string): string | null {
  const name = nameOf(id);
  return name?.kind === 'known' ? name.name : null;
}

/** Whether names of these can be read and are not known. */
export function hasUnknownNames(subjects: readonly Subject[]): boolean {
  return subjects.some(({ type, id }) => isNamed(type) && nameOf(id) === undefined);
}

/**
 * Reads the names of users and service accounts. The service records each reading of a user in the audit trail, so pages
 * read names when they are asked for, and not of everything that they list.
 */
export function readNames(subjects: readonly Subject[]): void {
  const unknown = subjects.filter(({ type, id }) => isNamed(type) && nameOf(id) === undefined);
  if (unknown.some(({ type }) => type === 'service')) {
    const ids = unknown.filter(({ type }) => type === 'service').map(({ id }) => id);
    for (const id of ids) keep(id, { kind: 'reading' });
    waiting.push(() => readServiceNames(ids));
  }
  for (const { type, id } of unknown) {
    if (type !== 'user' || nameOf(id) !== undefined) continue;
    keep(id, { kind: 'reading' });
    waiting.push(() => readUserName(id));
  }
  startCalls();
  update();
}

/**
 * An actor or a target: a link to its page where it has one, and otherwise to its events. The name of a user or service
 * account is read when the pointer or the focus rests on it.
 */
export function subjectView({ type, id }: Subject): TemplateResult {
  const known = nameOf(id);
  const text = known?.kind === 'known' ? known.name : shortId(id);
  const enter = () => {
    clearTimeout(rest);
    if (isNamed(type) && nameOf(id) === undefined)
      rest = setTimeout(() => readNames([{ type, id }]), REST_MS);
  };
  return html`<a
      class="subject"
      href=${subjectHref({ type, id })}
      title=${id}
      @mouseenter=${enter}
      @mouseleave=${leave}
      @focus=${enter}
      @blur=${leave}
      >${known?.kind === 'known' ? text : html`<code>${text}</code>`}</a
    >${known?.kind === 'absent' ? html` <span class="absent">(deleted or unknown)</span>` : ''}`;
}

/** The address of the page of a subject; of its events, where it has no page. */
export function subjectHref({ type, id }: Subject): string {
  switch (type) {
    case 'user':
      return href(['users', id]);
    case 'service':
      return href(['service-accounts', id]);
    case 'signing-key':
      return href(['signing-keys']);
    case 'issuer':
      return href(['trusted-issuers', id]);
    case 'audience':
      return href(['audiences']);
    case 'operator':
    case 'certificate':
      return href(['audit'], { actor: id });
    default:
      return href(['audit'], { target: id });
  }
}

function isNamed(type: string): boolean {
  return type === 'user' || type === 'service';
}

function nameOf(id: string): Name | undefined {
  forgetOfOthers();
  return names.get(id);
}

function keep(id: string, name: Name): void {
  forgetOfOthers();
  if (names.size >= MAX_NAMES) names.clear();
  names.set(id, name);
}

function forgetOfOthers(): void {
  const user = loggedIn()?.userId ?? '';
  if (user === reader) return;
  reader = user;
  names.clear();
  waiting.length = 0;
}

function startCalls(): void {
  while (calls < MAX_CALLS) {
    const call = waiting.shift();
    if (call === undefined) return;
    calls += 1;
    void call().finally(() => {
      calls -= 1;
      startCalls();
      update();
    });
  }
}

async function readUserName(userId: string): Promise<void> {
  const asked = loggedIn()?.userId;
  let name: Name | null = null;
  try {
    const { email = '' } = await admin('getUser', { userId });
    name = { kind: 'known', name: email };
  } catch (error) {
    if (error instanceof Refusal && error.reason === 'RESOURCE_NOT_FOUND') name = { kind: 'absent' };
  }
  if (asked !== loggedIn()?.userId) return;
  // What could not be read is asked for again at the next occasion.
  if (name === null) names.delete(userId);
  else keep(userId, name);
}

/** One call for all of them: there is none for one account. Of more than a page of accounts the later ones stay unknown. */
async function readServiceNames(ids: readonly string[]): Promise<void> {
  const asked = loggedIn()?.userId;
  try {
    const { serviceAccounts = [], nextPageToken = '' } = await admin('listServiceAccounts', {
      pageSize: 1000,
    });
    if (asked !== loggedIn()?.userId) return;
    for (const { clientId, name } of serviceAccounts) rememberName(clientId, name);
    for (const id of ids)
      if (nameOf(id)?.kind === 'reading') {
        if (nextPageToken === '') keep(id, { kind: 'absent' });
        else names.delete(id);
      }
  } catch {
    for (const id of ids) if (nameOf(id)?.kind === 'reading') names.delete(id);
  }
}
