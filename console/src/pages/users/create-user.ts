import { html } from 'lit-html';

import { href, navigate } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { openForm } from '../../ui/form-dialog.ts';
import { wordsOf } from '../../ui/words.ts';
import { rolesField } from '../../ui/roles.ts';
import { showResetToken } from './reset-password.ts';

/** Asks for a new user, and creates the user. Without a password, a reset token is shown once. */
export function askToCreateUser(created: () => unknown): void {
  let userId = '';
  let email = '';
  let reset: { readonly resetToken?: string; readonly expiresAt?: string } | null = null;
  openForm({
    title: 'Create a user',
    verb: () => 'Create the user',
    fields: () => html`
      <label
        >E-mail
        <input name="email" type="email" required maxlength="254" autocomplete="off" spellcheck="false"
      /></label>
      ${rolesField({ label: 'Roles', hint: 'Separated by commas. May be empty.' })}
      <label
        >First password <input name="password" type="password" autocomplete="new-password" /><span
          class="hint"
          >If empty, you get a reset token, with which the user sets a password.</span
        ></label
      >
      <label
        >External ID <input name="external-id" maxlength="255" autocomplete="off" spellcheck="false" /><span
          class="hint"
          >The ID of the user in another program, if there is one. It cannot be changed later.</span
        ></label
      >
    `,
    work: async ({ text, checked }) => {
      // Not trimmed: a space may be part of it.
      const [password = ''] = checked('password');
      // The user may exist since a try whose reset token could not be created.
      if (userId === '' || email !== text('email')) {
        email = text('email');
        const request = {
          email,
          password,
          roles: wordsOf(text('roles')),
          externalId: text('external-id'),
        };
        userId = (await admin('createUser', request)).id ?? '';
      }
      if (password === '') reset = await admin('createPasswordReset', { userId });
    },
    afterwards: () => {
      if (reset === null) {
        navigate(['users', userId]);
        return;
      }
      created();
      showResetToken(html`<a href=${href(['users', userId])}>${email}</a> is created.`, reset);
    },
  });
}
