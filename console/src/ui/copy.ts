import { html, type TemplateResult } from 'lit-html';

import { update } from '../update.ts';

/** A button that copies a text, and what came of it. */
export interface Copying {
  readonly button: () => TemplateResult;
  readonly outcome: () => TemplateResult;
}

/** @param name what it is called where it has to be selected by hand, such as "text" */
export function copying(text: string, name: string): Copying {
  let outcome = '';
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      outcome = 'Copied.';
    } catch {
      outcome = `The browser does not allow copying here: select the ${name}.`;
    }
    update();
  };
  return {
    button: () => html`<button type="button" @click=${() => void copy()}>Copy</button>`,
    outcome: () => html`<p role="status">${outcome}</p>`,
  };
}
