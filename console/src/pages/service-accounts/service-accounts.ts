import { html } from 'lit-html';

import type { Page } from '../../router.ts';

/** `#/service-accounts` */
export function serviceAccountsPage(): Page | null {
  return { title: 'Service accounts', view: () => html`<p>…</p>` };
}
