import { html, type TemplateResult } from 'lit-html';

import { callWithToken, Refusal } from '../../rpc.ts';
import { accept, announceSession, postAboutCookie } from '../../session.ts';
import { Action } from '../../ui/action.ts';
import { update } from '../../update.ts';

/** Changes the own password. The new session comes in place of all others; its refresh token is in the cookie. */
export class PasswordForm {
  readonly #email: () => string | null;
  readonly #whenChanged: () => Promise<unknown>;
  readonly #action = new Action();
  #isShown = false;
  #isDone = false;

  /** @param parts the e-mail is for password managers; null while it is not known */
  constructor(parts: { readonly email: () => string | null; readonly whenChanged: () => Promise<unknown> }) {
    this.#email = parts.email;
    this.#whenChanged = parts.whenChanged;
  }

  view(): TemplateResult {
    const type = this.#isShown ? 'text' : 'password';
    return html`<section>
      <h2>Password</h2>
      <form class="card" @submit=${(event: SubmitEvent) => void this.#submit(event)}>
        <input type="text" autocomplete="username" .value=${this.#email() ?? ''} readonly hidden />
        <label
          >Current password <input name="current" type="password" required autocomplete="current-password"
        /></label>
        <label
          >New password
          <input name="new" type=${type} required autocomplete="new-password" spellcheck="false"
        /></label>
        <label
          ><input
            type="checkbox"
            .checked=${this.#isShown}
            @change=${() => {
              this.#isShown = !this.#isShown;
              update();
            }}
          />
          Show what I type</label
        >
        ${this.#action.failure()}
        <p role="status">${this.#isDone ? 'Your password is changed. All other sessions have ended.' : ''}</p>
        <div class="buttons">
          <button ?disabled=${this.#action.isRunning}>Change the password</button>
        </div>
      </form>
    </section>`;
  }

  async #submit(event: SubmitEvent): Promise<void> {
    event.preventDefault();
    const form = event.target as HTMLFormElement;
    const field = (name: string) => form.elements.namedItem(name) as HTMLInputElement;
    const [current, wanted] = [field('current'), field('new')];
    this.#isDone = false;
    let wrong = current;
    const isChanged = await this.#action.run(async () => {
      try {
        const body = { currentPassword: current.value, newPassword: wanted.value };
        accept(await callWithToken('console/session', body, postAboutCookie));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        const { reason, requestId } = error;
        if (reason === 'PASSWORD_POLICY') wrong = wanted;
        if (reason !== 'INVALID_CREDENTIALS') throw error;
        throw new Refusal('The current password is wrong.', reason, requestId);
      }
    });
    if (!isChanged) {
      wrong.focus();
      wrong.select();
      return;
    }
    announceSession();
    this.#isDone = true;
    this.#isShown = false;
    form.reset();
    update();
    await this.#whenChanged();
  }
}
