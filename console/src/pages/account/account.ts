import { html } from 'lit-html';

import type { Page } from '../../router.ts';

/** `#/account` */
export function accountPage(): Page | null {
  return { title: 'My account', view: () => html`<p>…</p>` };
}
