import { html } from 'lit-html';

import { copying } from '../../ui/copy.ts';
import { openDialog } from '../../ui/dialog.ts';

/** Shows recovery codes, which the service does not show again. Escape does not close it. */
export function showRecoveryCodes(codes: readonly string[]): void {
  const text = codes.join('\n') + '\n';
  const { button, outcome } = copying(text, 'codes');
  openDialog({
    title: 'Your recovery codes',
    staysOpen: () => true,
    view: (close) =>
      html`<p>
          Each of them logs you in once, in place of your second factor. They are not shown again: keep them
          where your phone is not, on paper or in a password manager.
        </p>
        <output class="secret"
          ><ol class="codes">
            ${codes.map((code) => html`<li><code>${code}</code></li>`)}
          </ol></output
        >
        ${outcome()}
        <div class="buttons">
          ${button()}
          <a
            class="button"
            download="postern-recovery-codes.txt"
            href=${`data:text/plain,${encodeURIComponent(text)}`}
            >Download as text</a
          >
          <button type="button" class="primary" @click=${close}>I have kept them</button>
        </div>`,
  });
}
