import { html } from 'lit-html';

import type { Page } from '../../router.ts';

/** `#/trusted-issuers` */
export function issuersPage(): Page | null {
  return { title: 'Trusted issuers', view: () => html`<p>…</p>` };
}
