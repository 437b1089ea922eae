import { html } from 'lit-html';

import type { FactorConfirmed } from '../../../../src/generated/postern/v1/auth.ts';
import { auth } from '../../rpc.ts';
import { openForm } from '../../ui/form-dialog.ts';
import type { Wire } from '../../wire.ts';
import { makePasskey } from '../login/passkeys.ts';

/** Asks for a name, and lets the browser make a passkey. */
export function askForPasskey(whenAdded: (added: Wire<FactorConfirmed>) => void): void {
  let added: Wire<FactorConfirmed> = {};
  openForm({
    title: 'Add a passkey',
    fields: () =>
      html`<p>
          The browser asks for a PIN, a finger or a face, and keeps the passkey on this device, in your
          password manager, or on a security key. It logs you in without the password.
        </p>
        <label
          >A name for it, such as that of the device
          <input name="name" required maxlength="64" autocomplete="off" .defaultValue=${'This device'}
        /></label>`,
    verb: () => 'Continue',
    work: async (form) => {
      const { optionsJson = '', challengeToken = '' } = await auth('beginPasskeyRegistration', {});
      const credentialJson = await makePasskey(optionsJson);
      const name = form.text('name');
      added = await auth('finishPasskeyRegistration', { name, challengeToken, credentialJson });
    },
    afterwards: () => whenAdded(added),
  });
}
