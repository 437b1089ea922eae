import { html } from 'lit-html';

import { admin } from '../../rpc.ts';
import { update } from '../../update.ts';
import { openForm } from '../../ui/form-dialog.ts';
import type { Account } from '../../ui/accounts.ts';
import { showCredentials } from './credentials.ts';
import { OVERLAPS, rotationText } from './secret-overlap.ts';

/** Asks how long the present secret stays valid, and shows the new one. */
export function rotateSecret(
  { clientId = '', name = '', previousSecretUntil }: Account,
  changed: () => Promise<void>,
): void {
  let overlap = 86_400;
  let clientSecret = '';
  const endsOlder = previousSecretUntil !== undefined;
  const choose = (event: Event) => {
    overlap = Number((event.target as HTMLSelectElement).value);
    update();
  };
  openForm({
    title: `Rotate the secret of ${name}`,
    isDangerous: () => overlap === 0,
    verb: () => (overlap === 0 ? 'Rotate, and end everything now' : 'Rotate'),
    fields: () => html`
      <label
        >The present secret is accepted for
        <select name="overlap" @change=${choose}>
          ${OVERLAPS.map(
            ({ seconds, text }) =>
              html`<option value=${seconds} ?selected=${seconds === overlap}>${text}</option>`,
          )}
        </select>
      </label>
      <p role="status" class=${overlap === 0 || endsOlder ? 'consequence' : ''}>
        ${rotationText(overlap, endsOlder)}
      </p>
    `,
    work: async () => {
      ({ clientSecret = '' } = await admin('rotateServiceSecret', { clientId, overlap }));
      void changed();
    },
    afterwards: () => showCredentials(`The new secret of ${name}`, clientId, clientSecret),
  });
}
