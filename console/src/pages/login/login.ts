import { html, nothing, type TemplateResult } from 'lit-html';

import { Refusal } from '../../rpc.ts';
import { farewellMessage, logIn } from '../../session.ts';
import { Action } from '../../ui/action.ts';

const action = new Action();
let needsCode = false;

async function submit(event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const fields = new FormData(event.target as HTMLFormElement);
  const text = (name: string) => {
    const value = fields.get(name);
    return typeof value === 'string' ? value : '';
  };
  await action.run(async () => {
    try {
      await logIn({ email: text('email'), password: text('password'), code: text('code') });
      needsCode = false;
    } catch (error) {
      if (error instanceof Refusal && error.reason === 'SECOND_FACTOR_REQUIRED') needsCode = true;
      throw error;
    }
  });
}

/** The login, in place of a page. */
export function loginView(): TemplateResult {
  return html`<h1 tabindex="-1">Log in to Postern</h1>
    ${farewellMessage() === '' ? nothing : html`<p role="status">${farewellMessage()}</p>`}
    <form @submit=${submit}>
      <label>E-mail <input name="email" type="email" required autocomplete="username" /></label>
      <label
        >Password <input name="password" type="password" required autocomplete="current-password"
      /></label>
      ${
        needsCode
          ? html`<label
              >Code of your authenticator app, or a recovery code
              <input name="code" required autocomplete="one-time-code" inputmode="numeric"
            /></label>`
          : nothing
      }
      ${action.failure()}
      <button ?disabled=${action.isRunning}>Log in</button>
    </form>`;
}
