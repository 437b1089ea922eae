import { html } from 'lit-html';

import type { Page } from '../../router.ts';

/** `#/users` */
export function usersPage(): Page | null {
  return { title: 'Users', view: () => html`<p>…</p>` };
}
