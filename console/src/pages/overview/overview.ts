import { html } from 'lit-html';

import type { Page } from '../../router.ts';

/** `#/overview` */
export function overviewPage(): Page | null {
  return { title: 'Overview', view: () => html`<p>…</p>` };
}
