import { html, nothing, type TemplateResult } from 'lit-html';
import { keyed } from 'lit-html/directives/keyed.js';
import { ref } from 'lit-html/directives/ref.js';

import { update } from '../update.ts';
import { Action } from './action.ts';
import { asTyped } from './words.ts';

/** A modal window over the page, one at a time. */
export interface Dialog {
  readonly title: string;
  /** Whether Escape leaves it open: what it shows is not shown again, or what it asked for is being done. */
  readonly staysOpen?: () => boolean;
  view(close: () => void): TemplateResult;
}

let open: Dialog | null = null;
/** A question that a call needs an answer to, over whatever dialog began the call. */
let over: { readonly dialog: Dialog; readonly answer: (isYes: boolean) => void } | null = null;

/** Where the keyboard was before the dialogs. */
let opener: HTMLElement | null = null;

/**
 * Opens a dialog in place of the open one. Escape and `close` end it.
 *
 * @returns closes it, unless another one has taken its place
 */
export function openDialog(dialog: Dialog): () => void {
  rememberOpener();
  open = dialog;
  update();
  return () => {
    if (open === dialog) closeDialog();
  };
}

function closeDialog(): void {
  open = null;
  update();
  queueMicrotask(returnFocus);
}

function rememberOpener(): void {
  const { activeElement } = document;
  if (activeElement instanceof HTMLElement) opener ??= activeElement;
}

/** Puts the keyboard back where it was, or at the heading if that is gone. Runs after the page was rendered. */
function returnFocus(): void {
  if (opener === null || open !== null || over !== null) return;
  opener.focus();
  opener = null;
  if (document.activeElement === document.body) document.querySelector<HTMLElement>('h1')?.focus();
}

/** Opens a dialog over the page and over its dialog. @returns what `answer` is called with; false when it is closed otherwise */
export function askOver(
  title: string,
  view: (answer: (isYes: boolean) => void) => TemplateResult,
): Promise<boolean> {
  return new Promise((resolve) => {
    const answer = (isYes: boolean) => {
      if (over?.answer === answer) over = null;
      resolve(isYes);
      update();
      queueMicrotask(returnFocus);
    };
    over?.answer(false);
    rememberOpener();
    over = { dialog: { title, view: () => view(answer) }, answer };
    update();
  });
}

/** Closes whatever is open, because another page is shown. */
export function closeDialogs(): void {
  over?.answer(false);
  open = null;
  opener = null;
}

/** lit-html calls it before the element is on the page. */
const show = (element: Element | undefined): void =>
  queueMicrotask(() => {
    if (element instanceof HTMLDialogElement && element.isConnected && !element.open) element.showModal();
  });

/** The open dialogs, for the end of the page. */
export function dialogView(): TemplateResult {
  return html`${open === null ? nothing : modal(open, 'dialog-title', closeDialog)}
  ${over === null ? nothing : modal(over.dialog, 'question-title', () => over?.answer(false))}`;
}

function modal(dialog: Dialog, titleId: string, close: () => void): TemplateResult {
  // Browsers let a page refuse to close once: a second Escape closes the dialog whatever `cancel` was answered.
  const closed = (event: Event) => {
    if (dialog.staysOpen?.() === true) (event.target as HTMLDialogElement).showModal();
    else close();
  };
  // An element of its own for each dialog, so that the keyboard enters one that takes the place of another.
  return html`${keyed(
    dialog,
    html`<dialog ${ref(show)} aria-labelledby=${titleId} @close=${closed}>
      <h2 id=${titleId}>${dialog.title}</h2>
      ${dialog.view(close)}
    </dialog>`,
  )}`;
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
  /** Goes on after the dialog is closed, perhaps with another one. */
  readonly whenDone?: () => void;
}

/** Asks, and does it. What is dangerous asks for the name of the thing. */
export function confirm({ title, text, verb, name, work, whenDone }: Question): void {
  const action = new Action();
  let typed = '';
  const isConfirmed = () => name === null || asTyped(typed) === asTyped(name);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (!isConfirmed()) return;
    if (!(await action.run(work))) return;
    // The work may have opened another one, and a person may have closed this one meanwhile.
    closeQuestion();
    whenDone?.();
  };
  const closeQuestion = openDialog({
    title,
    staysOpen: () => action.isRunning,
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
          <button type="button" ?disabled=${action.isRunning} @click=${close}>Cancel</button>
        </div>
      </form>`,
  });
}
