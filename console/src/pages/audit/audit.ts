import { html } from 'lit-html';

import type { Page } from '../../router.ts';

/** `#/audit` */
export function auditPage(): Page | null {
  return { title: 'Audit', view: () => html`<p>…</p>` };
}
