import { html, type TemplateResult } from 'lit-html';

import { admin } from '../../rpc.ts';
import { update } from '../../update.ts';
import { wordsOf } from '../../ui/words.ts';
import { openForm } from '../../ui/form-dialog.ts';
import { rolesField } from '../../ui/roles.ts';
import { Load } from '../../ui/load.ts';
import { audienceFields, audienceNames } from '../audiences/audience-fields.ts';
import type { Account } from '../../ui/accounts.ts';
import { type Rights, tokensLostText } from './rights-change.ts';
import { type AudienceRight, RIGHT_TEXTS } from './rights-texts.ts';

type Changed = (account: Account) => void;

/** Only the changed list is sent: another administrator may change another list at the same time. */
export function changeRoles(account: Account, changed: Changed): void {
  const { clientId = '', roles = [] } = account;
  let text = roles.join(', ');
  const after = (): Rights => ({ ...account, roles: wordsOf(text) });
  const typed = (value: string) => {
    text = value;
    update();
  };
  openForm({
    title: `Roles of ${account.name ?? ''}`,
    ...buttonOf(account, after),
    fields: () => html`
      ${rolesField({ label: 'Roles, separated by commas', value: text, typed })}
      ${consequence(account, after())}
    `,
    work: async () => {
      changed(await admin('updateServiceAccount', { clientId, roles: { roles: wordsOf(text) } }));
    },
  });
}

export function changeAudiences(account: Account, right: AudienceRight, changed: Changed): void {
  const { clientId = '' } = account;
  const chosen = new Set(account[right]);
  const after = (): Rights => ({ ...account, [right]: [...chosen] });
  const { legend, hint } = RIGHT_TEXTS[right];
  const names = new Load(audienceNames);
  openForm({
    title: `Audiences of ${account.name ?? ''}`,
    ...buttonOf(account, after),
    isReady: () => names.value !== null,
    fields: () =>
      names.view(
        (known) =>
          html`${audienceFields({ legend, hint, names: known, chosen })} ${consequence(account, after())}`,
      ),
    work: async () => {
      const audiences = [...chosen].filter((name) => names.value?.includes(name));
      changed(await admin('updateServiceAccount', { clientId, [right]: { audiences } }));
    },
  });
}

function buttonOf(account: Account, after: () => Rights) {
  return {
    verb: () => (tokensLostText(account, after()) === '' ? 'Save' : 'Save, and end these tokens'),
    isDangerous: () => tokensLostText(account, after()) !== '',
  };
}

function consequence(before: Rights, after: Rights): TemplateResult {
  return html`<p role="status" class="consequence">${tokensLostText(before, after)}</p>`;
}
