import { html, type TemplateResult } from 'lit-html';

import { Action } from './action.ts';
import { closeDialog, openDialog } from './dialog.ts';

interface FormDialog {
  readonly title: string;
  readonly fields: () => TemplateResult;
  /** What the button says, such as "Create the account". May change with what is chosen. */
  readonly verb: () => string;
  /** Whether the button does harm with what is chosen. */
  readonly isDangerous?: () => boolean;
  /** Whether it can be done already, such as when a list to choose from was read. */
  readonly isReady?: () => boolean;
  /**
   * Does it, with the fields by their names. What it returns runs after the dialog was closed, such as one that shows a secret.
   *
   * @throws Refusal, which the dialog shows
   */
  readonly work: (fields: FormData) => Promise<void | (() => void)>;
}

/** Opens a form in a dialog, which stays open with its values until its work succeeded. */
export function openForm({ title, fields, verb, isDangerous, isReady, work }: FormDialog): void {
  const action = new Action();
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const values = new FormData(event.target as HTMLFormElement);
    let then: void | (() => void);
    const done = await action.run(async () => {
      then = await work(values);
    });
    if (!done) return;
    closeDialog();
    then?.();
  };
  openDialog({
    title,
    view: (close) =>
      html`<form method="dialog" @submit=${submit}>
        ${fields()} ${action.failure()}
        <div class="buttons">
          <button class=${isDangerous?.() ? 'danger' : ''} ?disabled=${action.isRunning || isReady?.() === false}>${verb()}</button>
          <button type="button" @click=${close}>Cancel</button>
        </div>
      </form>`,
  });
}

/** A field of a form as text. */
export function textOf(fields: FormData, name: string): string {
  const value = fields.get(name);
  return typeof value === 'string' ? value.trim() : '';
}

/** All values of a field, such as those of checkboxes. */
export function textsOf(fields: FormData, name: string): string[] {
  return fields.getAll(name).filter((value) => typeof value === 'string');
}

/** A text that lists names, separated by commas or spaces. */
export function namesOf(text: string): string[] {
  return [...new Set(text.split(/[\s,]+/).filter((name) => name !== ''))];
}
