import { html } from 'lit-html';

import type { FactorConfirmed } from '../../../../src/generated/postern/v1/auth.ts';
import { auth } from '../../rpc.ts';
import { Action } from '../../ui/action.ts';
import { openDialog } from '../../ui/dialog.ts';
import { entered } from '../../ui/form.ts';
import type { Wire } from '../../wire.ts';
import { makePasskey } from '../login/passkeys.ts';

/** Asks for a name, and lets the browser make a passkey. */
export function askForPasskey(whenAdded: (added: Wire<FactorConfirmed>) => void): void {
  const action = new Action();
  openDialog({
    title: 'Add a passkey',
    view: (close) => {
      const submit = async (event: SubmitEvent) => {
        const name = entered(event).text('name');
        let added: Wire<FactorConfirmed> = {};
        const isAdded = await action.run(async () => {
          const { optionsJson = '', challengeToken = '' } = await auth('beginPasskeyRegistration', {});
          const credentialJson = await makePasskey(optionsJson);
          added = await auth('finishPasskeyRegistration', { name, challengeToken, credentialJson });
        });
        if (!isAdded) return;
        close();
        whenAdded(added);
      };
      return html`<form @submit=${submit}>
        <p>
          The browser asks for a PIN, a finger or a face, and keeps the passkey on this device, in your
          password manager, or on a security key. It logs you in without the password.
        </p>
        <label
          >A name for it, such as that of the device
          <input name="name" required maxlength="64" autocomplete="off" .defaultValue=${'This device'}
        /></label>
        ${action.failure()}
        <div class="buttons">
          <button ?disabled=${action.isRunning}>Continue</button>
          <button type="button" @click=${close}>Cancel</button>
        </div>
      </form>`;
    },
  });
}
