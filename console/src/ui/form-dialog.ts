import { html, type TemplateResult } from 'lit-html';

import { Action } from './action.ts';
import { openDialog } from './dialog.ts';
import { type Entered, entered } from './form.ts';

interface FormDialog {
  readonly title: string;
  readonly fields: () => TemplateResult;
  /** What the button says, such as "Create the account". May change with what is chosen. */
  readonly verb: () => string;
  /** Whether the button does harm with what is chosen. */
  readonly isDangerous?: () => boolean;
  /** Whether it can be done already, such as when a list to choose from was read. */
  readonly isReady?: () => boolean;
  /** @throws Refusal, which the dialog shows */
  readonly work: (form: Entered) => Promise<void>;
  /** Runs after the work, when the dialog is closed: it may open another one, or a page. */
  readonly afterwards?: () => void;
}

/** Opens a form in a dialog, which stays open with its values until its work succeeded. */
export function openForm({ title, fields, verb, isDangerous, isReady, work, afterwards }: FormDialog): void {
  const action = new Action();
  const submit = async (event: SubmitEvent) => {
    const form = entered(event);
    if (!(await action.run(() => work(form)))) return;
    close();
    afterwards?.();
  };
  const close = openDialog({
    title,
    staysOpen: () => action.isRunning,
    view: (cancel) =>
      html`<form method="dialog" @submit=${submit}>
        ${fields()} ${action.failure()}
        <div class="buttons">
          <button
            class=${isDangerous?.() ? 'danger' : ''}
            ?disabled=${action.isRunning || isReady?.() === false}
          >
            ${verb()}
          </button>
          <button type="button" ?disabled=${action.isRunning} @click=${cancel}>Cancel</button>
        </div>
      </form>`,
  });
}
