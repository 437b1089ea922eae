import { html, type TemplateResult } from 'lit-html';

import { href } from '../router.ts';
import { admin, Refusal } from '../rpc.ts';
import { loggedIn } from '../session.ts';
import { update } from '../update.ts';
import { accounts } from './accounts.ts';
import { keepName, nameOf } from './names.ts';
import { shortId } from './short-id.ts';

/** Ids whose name is to be read. */
const waiting: (() => Promise<void>)[] = [];
let calls = 0;
const MAX_CALLS = 4;
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
    for (const id of ids) keepName(id, { kind: 'reading' });
    waiting.push(() => readServiceNames(ids));
  }
  for (const { type, id } of unknown) {
    if (type !== 'user' || nameOf(id) !== undefined) continue;
    keepName(id, { kind: 'reading' });
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
  await readInto([userId], async () => {
    try {
      const { email = '' } = await admin('getUser', { userId });
      return new Map([[userId, email]]);
    } catch (error) {
      if (error instanceof Refusal && error.reason === 'RESOURCE_NOT_FOUND') return new Map();
      throw error;
    }
  });
}

async function readServiceNames(ids: readonly string[]): Promise<void> {
  await readInto(ids, async () => {
    const found = await accounts.find(ids);
    return new Map([...found].map(([id, { name = '' }]) => [id, name]));
  });
}

/** @param read returns the names of those that exist */
async function readInto(
  ids: readonly string[],
  read: () => Promise<ReadonlyMap<string, string>>,
): Promise<void> {
  const isMissing = (id: string) => nameOf(id)?.kind === 'reading';
  // Another page has read them meanwhile, or whoever waited for them has logged out.
  if (!ids.some(isMissing)) return;
  const asked = loggedIn()?.userId;
  const found = await read().catch(() => null);
  if (asked !== loggedIn()?.userId) return;
  for (const id of ids.filter(isMissing)) {
    const name = found?.get(id);
    // What could not be read is asked for again at the next occasion.
    keepName(id, name !== undefined ? { kind: 'known', name } : found && { kind: 'absent' });
  }
}
