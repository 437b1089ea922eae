import { html, type TemplateResult } from 'lit-html';

import { copying } from './copy.ts';
import { openDialog } from './dialog.ts';

/** A secret that is shown once, with a button that copies it. */
export function showSecret(title: string, text: string | TemplateResult, secret: string): void {
  const { button, outcome } = copying(secret, 'text');
  openDialog({
    title,
    staysOpen: () => true,
    view: (close) =>
      html`<p>${text}</p>
        <p><output class="secret" tabindex="0">${secret}</output></p>
        ${outcome()}
        <div class="buttons">
          ${button()}
          <button type="button" @click=${close}>I have kept it</button>
        </div>`,
  });
}
