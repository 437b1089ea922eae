import { html, type TemplateResult } from 'lit-html';

import { href, navigate, type Page } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { Action } from '../../ui/action.ts';
import { confirm } from '../../ui/dialog.ts';
import { openForm } from '../../ui/form-dialog.ts';
import { count, stateView, time } from '../../ui/format.ts';
import { Load } from '../../ui/load.ts';
import { absentView, RecentEvents } from '../../ui/recent-events.ts';
import { Bindings } from '../bindings/bindings.ts';
import { type Issuer, issuers } from './issuers.ts';
import { keyIdsOf, keySourceOf, keysOf } from './key-source.ts';
import { keySourceFields } from './key-source-fields.ts';
import { KIND_NAMES } from './presets.ts';

/** `#/trusted-issuers/ID` */
export function issuerPage(id: string): Page {
  const issuer = new Load(async () => (await issuers.find([id])).get(id) ?? null);
  let parts: { readonly bindings: Bindings; readonly events: RecentEvents } | null = null;
  const enabling = new Action();
  const changed = (value: Issuer, what: string) => {
    issuer.set(value);
    said = what;
    void parts?.events.reload();
  };
  let said = '';
  const enable = () =>
    enabling.run(async () => {
      const enabled = await admin('updateTrustedIssuer', { id, disabled: false });
      changed(
        enabled,
        'The issuer is enabled: its tokens are accepted again. Those that were ended stay ended.',
      );
    });
  const askToDisable = ({ issuer: name = '' }: Issuer) =>
    confirm({
      title: 'Disable the issuer',
      text: html`Tokens of <code>${name}</code> are refused from now on, and every token that was issued for
        one of them ends now, everywhere. The bindings stay; the issuer can be enabled again.`,
      verb: 'Disable the issuer',
      name: null,
      work: async () => {
        const disabled = await admin('updateTrustedIssuer', { id, disabled: true });
        changed(disabled, `The issuer is disabled.${await tokensEnded(id)}`);
      },
    });
  const changeKeys = ({ issuer: name = '', keys }: Issuer) => {
    const source = keySourceOf(keys);
    openForm({
      title: 'Change where the keys come from',
      verb: () => 'Save',
      fields: () =>
        html`<p class="hint">Tokens that were issued already stay valid.</p>
          ${keySourceFields(source, name.startsWith('spiffe:'))}`,
      work: async () => {
        changed(await admin('updateTrustedIssuer', { id, keys: keysOf(source) }), 'The keys are changed.');
      },
    });
  };

  const sections = (value: Issuer) => {
    // Of an issuer that does not exist there is nothing else to read.
    parts ??= { bindings: new Bindings({ issuerId: id }), events: new RecentEvents(id, { acts: false }) };
    return html`
      ${facts(value)}
      <p role="status">${said}</p>
      ${enabling.failure()}
      <div class="buttons">
        ${
          value.disabled
            ? html`<button type="button" ?disabled=${enabling.isRunning} @click=${() => void enable()}>
                Enable
              </button>`
            : html`<button type="button" class="danger" @click=${() => askToDisable(value)}>Disable</button>`
        }
        <button type="button" @click=${() => changeKeys(value)}>Change the keys</button>
      </div>
      ${parts.bindings.view()} ${parts.events.view('this issuer')}
      <section aria-labelledby="delete">
        <h2 id="delete">Delete</h2>
        <p>The issuer goes with its bindings. Every token that was issued for one of its tokens ends now.</p>
        <button type="button" class="danger" @click=${() => askDeletion(value)}>Delete the issuer</button>
      </section>
    `;
  };
  return {
    get title() {
      return issuer.value?.issuer ?? 'Trusted issuer';
    },
    view: () => html`
      <p class="back"><a href=${href(['trusted-issuers'])}>All trusted issuers</a></p>
      ${issuer.view((value) => (value === null ? absentView('trusted issuer', id) : sections(value)))}
    `,
  };
}

function facts({
  id,
  kind = '',
  disabled,
  keys,
  audience,
  algorithms = [],
  maxAge,
  ...issuer
}: Issuer): TemplateResult {
  return html`<dl class="facts">
    <dt>State</dt>
    <dd>${stateView(disabled)}</dd>
    <dt>Kind</dt>
    <dd>${KIND_NAMES[kind] ?? kind}</dd>
    <dt>Keys</dt>
    <dd>${keysText(keys)}</dd>
    <dt>Audience of its tokens</dt>
    <dd>${audience}</dd>
    <dt>Algorithms</dt>
    <dd>${algorithms.join(', ')}</dd>
    <dt>Maximum age of a token</dt>
    <dd>${count(maxAge ?? 0)} seconds</dd>
    <dt>A token is accepted</dt>
    <dd>${issuer.acceptOnce ? 'once only' : 'again, until it expires'}</dd>
    <dt>Created</dt>
    <dd>${time(issuer.createdAt)}</dd>
    <dt>ID</dt>
    <dd><code>${id}</code></dd>
  </dl>`;
}

function keysText(keys: Issuer['keys']): TemplateResult {
  const { from, jwksUrl, staticJwks, caPem, bearerFile } = keySourceOf(keys);
  const extras = `${caPem === '' ? '' : ', verified by certificates of its own'}${bearerFile === '' ? '' : `, with the token in ${bearerFile}`}`;
  switch (from) {
    case 'static':
      return html`entered here: ${keyIdsOf(staticJwks).map((kid) => html`<code class="tag">${kid}</code> `)}`;
    case 'url':
      return html`fetched from <code>${jwksUrl}</code>${extras}`;
    case 'discovery':
      return html`found by its discovery document${extras}`;
  }
}

/** How many tokens the last change ended: UpdateTrustedIssuer does not return it, the audit trail has it. */
async function tokensEnded(id: string): Promise<string> {
  const { events = [] } = await admin('listAuditEvents', {
    target: id,
    action: 'issuer.update',
    pageSize: 1,
  });
  const { tokens } = JSON.parse(events[0]?.details || '{}') as { tokens?: unknown };
  return typeof tokens === 'number' ? ` Tokens ended: ${count(tokens)}.` : '';
}

function askDeletion({ id = '', issuer = '' }: Issuer): void {
  confirm({
    title: 'Delete the issuer',
    text: 'Its bindings go with it, and every token that was issued for one of its tokens ends now, everywhere.',
    verb: 'Delete the issuer',
    name: issuer,
    work: async () => {
      await admin('deleteTrustedIssuer', { id });
      navigate(['trusted-issuers']);
    },
  });
}
