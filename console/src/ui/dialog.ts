import { html, nothing, type TemplateResult } from 'lit-html';
import { ref } from 'lit-html/directives/ref.js';

import { update } from '../update.ts';
import { Action } from './action.ts';

/** A modal window over the page, one at a time. */
interface Dialog {
  readonly title: string;
  view(close: () => void): TemplateResult;
}

let open: Dialog | null = null;

/** Opens a dialog. Escape and `close` end it. */
export function openDialog(dialog: Dialog): void {
  open = dialog;
  update();
}

export function closeDialog(): void {
  open = null;
  update();
}

const show = (element: Element | undefined): void => {
  if (element instanceof HTMLDialogElement && !element.open) element.showModal();
};

/** The open dialog, for the end of the page. */
export function dialogView(): TemplateResult | typeof nothing {
  if (open === null) return nothing;
  return html`<dialog ${ref(show)} aria-labelledby="dialog-title" @close=${closeDialog}>
    <h2 id="dialog-title">${open.title}</h2>
    ${open.view(closeDialog)}
  </dialog>`;
}

/** What is asked before a change that cannot be taken back. */
export interface Question {
  readonly title: string;
  /** What will happen. */
  readonly text: string | TemplateResult;
  /** What the button says, such as "Delete the user". */
  readonly verb: string;
  /** What has to be typed, such as the e-mail of the user; null where a click is enough. */
  readonly name: string | null;
  /** @throws Refusal, which the dialog shows */
  readonly work: () => Promise<unknown>;
}

/** Asks, and does it. What is dangerous asks for the name of the thing. */
export function confirm({ title, text, verb, name, work }: Question): void {
  const action = new Action();
  let typed = '';
  const isConfirmed = () => name === null || typed.trim() === name.trim();
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!isConfirmed()) return;
    if (await action.run(work)) closeDialog();
  };
  openDialog({
    title,
    view: (close) =>
      html`<form method="dialog" @submit=${submit}>
        <p>${text}</p>
        ${
          name === null
            ? nothing
            : html`<label
                >To confirm, type <code>${name}</code>
                <input
                  required
                  autocomplete="off"
                  spellcheck="false"
                  .value=${typed}
                  @input=${(event: InputEvent) => {
                    typed = (event.target as HTMLInputElement).value;
                    update();
                  }}
              /></label>`
        }
        ${action.failure()}
        <div class="buttons">
          <button class="danger" ?disabled=${action.isRunning || !isConfirmed()}>${verb}</button>
          <button type="button" @click=${close}>Cancel</button>
        </div>
      </form>`,
  });
}
