import { html, type TemplateResult } from 'lit-html';

import { href } from '../../router.ts';
import { admin, Refusal } from '../../rpc.ts';
import { openForm } from '../../ui/form-dialog.ts';
import { Load } from '../../ui/load.ts';
import { wordsOf } from '../../ui/words.ts';
import { rolesField } from '../../ui/roles.ts';
import { update } from '../../update.ts';
import { type Issuer, issuers } from '../trusted-issuers/issuers.ts';
import { type BoundIssuer, claimsHint, claimsOf, type ClaimLine, exampleOf, firstClaims } from './claims.ts';

const MAX_CLAIMS = 16;
const CERTIFICATE: BoundIssuer = { issuer: '', kind: '' };

/** Asks for an identity to bind to an account. */
export function askBinding(clientId: string, changed: () => Promise<void>): void {
  let issuerId = '';
  let bound = CERTIFICATE;
  let lines = firstClaims(bound);
  const choose = (all: readonly Issuer[], id: string) => {
    const issuer = all.find((known) => known.id === id);
    issuerId = id;
    bound = issuer === undefined ? CERTIFICATE : { issuer: issuer.issuer ?? '', kind: issuer.kind ?? '' };
    lines = firstClaims(bound);
    update();
  };
  const known = new Load(async () => {
    const { items } = await issuers.page('', 1_000);
    const [first] = items;
    if (first !== undefined) choose(items, first.id ?? '');
    return items;
  });
  const addLine = () => {
    lines.push({ path: '', value: '' });
    update();
  };

  const form = (all: readonly Issuer[]): TemplateResult => html`
    <label
      >Who vouches for it
      <select @change=${(event: Event) => choose(all, (event.target as HTMLSelectElement).value)}>
        ${all.map(
          ({ id = '', issuer = '', disabled = false }) =>
            html`<option value=${id} ?selected=${id === issuerId}>
              ${issuer}${disabled ? ' (disabled)' : ''}
            </option>`,
        )}
        <option value="" ?selected=${issuerId === ''}>a client certificate</option>
      </select>
    </label>
    <p class="hint">
      An issuer that is missing here is added to the
      <a href=${href(['trusted-issuers'])}>trusted issuers</a> first.
    </p>
    <fieldset class="claims">
      <legend>Claims, which must all match exactly</legend>
      <p class="hint">${claimsHint(bound)}</p>
      ${lines.map((line) => claimFields(line, bound))}
      <button
        type="button"
        class="quiet"
        ?disabled=${lines.length >= MAX_CLAIMS || issuerId === ''}
        @click=${addLine}
      >
        Add a claim
      </button>
    </fieldset>
    ${rolesField({ label: 'Roles at most', hint: 'Separated by commas. Empty: all that the account has.' })}
  `;
  openForm({
    title: 'Bind an identity',
    verb: () => 'Bind',
    isReady: () => known.value !== null,
    fields: () => known.view(form),
    work: async ({ text }) => {
      const read = claimsOf(lines);
      if ('fault' in read) throw new Refusal(read.fault);
      const { claims } = read;
      await admin('createWorkloadBinding', { clientId, issuerId, claims, roles: wordsOf(text('roles')) });
      await changed();
    },
  });
}

function claimFields(line: ClaimLine, bound: BoundIssuer): TemplateResult {
  const typed = (name: keyof ClaimLine) => (event: InputEvent) => {
    line[name] = (event.target as HTMLInputElement).value;
    update();
  };
  return html`<div class="claim">
    <label
      >Claim
      <input
        maxlength="256"
        autocomplete="off"
        spellcheck="false"
        .value=${line.path}
        @input=${typed('path')}
    /></label>
    <label
      >Value
      <input
        maxlength="1024"
        autocomplete="off"
        spellcheck="false"
        placeholder=${exampleOf(line.path, bound)}
        .value=${line.value}
        @input=${typed('value')}
    /></label>
  </div>`;
}
