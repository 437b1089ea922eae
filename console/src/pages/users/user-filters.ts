import { isId } from '../../ui/short-id.ts';
import type { AdminMethods } from '../../wire.ts';

/** The filters of the list of users, as they stand in its address. An empty one matches every user. */
export interface UserFilters {
  /** The beginning of the e-mail. */
  readonly email: string;
  readonly role: string;
  /** `enabled`, `disabled` or empty. */
  readonly state: string;
}

export function filtersOf(query: URLSearchParams): UserFilters {
  const text = (name: string) => (query.get(name) ?? '').trim();
  const state = text('state');
  return {
    email: text('email'),
    role: text('role'),
    state: state === 'enabled' || state === 'disabled' ? state : '',
  };
}

/** The filters of a request. An absent `disabled` is both: `false` would leave the disabled ones out. */
export function requestOf({ email, role, state }: UserFilters): AdminMethods['listUsers']['request'] {
  return {
    ...(email !== '' && { emailPrefix: email }),
    ...(role !== '' && { role }),
    ...(state !== '' && { disabled: state === 'disabled' }),
  };
}

export function isFiltered({ email, role, state }: UserFilters): boolean {
  return email !== '' || role !== '' || state !== '';
}

/** The id that a person has typed or pasted in place of an e-mail; null for anything else. */
export function typedId(text: string): string | null {
  const id = text.toLowerCase();
  return isId(id) ? id : null;
}
