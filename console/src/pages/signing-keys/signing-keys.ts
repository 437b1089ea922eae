import { html } from 'lit-html';

import type { Page } from '../../router.ts';

/** `#/signing-keys` */
export function signingKeysPage(): Page | null {
  return { title: 'Signing keys', view: () => html`<p>…</p>` };
}
