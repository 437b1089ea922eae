import { html, type TemplateResult } from 'lit-html';

import { update } from '../update.ts';
import { openDialog } from './dialog.ts';

/** A secret that is shown once, with a button that copies it. */
export function showSecret(title: string, text: string | TemplateResult, secret: string): void {
  let copied = '';
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(secret);
      copied = 'Copied.';
    } catch {
      copied = 'The browser does not allow copying here: select the text.';
    }
    update();
  };
  openDialog({
    title,
    staysOpen: true,
    view: (close) =>
      html`<p>${text}</p>
        <p><output class="secret" tabindex="0">${secret}</output></p>
        <p role="status">${copied}</p>
        <div class="buttons">
          <button type="button" @click=${() => void copy()}>Copy</button>
          <button type="button" @click=${close}>I have kept it</button>
        </div>`,
  });
}
