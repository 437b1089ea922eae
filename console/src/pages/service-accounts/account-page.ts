import { html, nothing, type TemplateResult } from 'lit-html';

import { href, navigate, type Page } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { ApiKeys } from '../../ui/api-keys.ts';
import { confirm } from '../../ui/dialog.ts';
import { time } from '../../ui/format.ts';
import { Load } from '../../ui/load.ts';
import { absentView, RecentEvents } from '../../ui/recent-events.ts';
import { rolesView } from '../../ui/roles.ts';
import { Bindings } from '../bindings/bindings.ts';
import { type Account, accounts } from '../../ui/accounts.ts';
import { changeAudiences, changeRoles } from './change-rights.ts';
import { showCredentials, takeFreshCredentials } from './credentials.ts';
import { audiencesText, RIGHT_TEXTS, type AudienceRight } from './rights-texts.ts';
import { rotateSecret } from './rotate-secret.ts';
import { ServiceKeys } from './service-keys.ts';

interface Parts {
  readonly keys: ServiceKeys;
  readonly apiKeys: ApiKeys;
  readonly bindings: Bindings;
  readonly events: RecentEvents;
}

function partsOf(clientId: string, roles: () => readonly string[]): Parts {
  return {
    keys: new ServiceKeys(clientId),
    apiKeys: new ApiKeys({ clientId }, roles),
    bindings: new Bindings({ clientId }),
    events: new RecentEvents(clientId, { acts: true }),
  };
}

/** `#/service-accounts/ID` */
export function accountPage(clientId: string): Page {
  const account = new Load(async () => (await accounts.find([clientId])).get(clientId) ?? null);
  let parts: Parts | null = null;
  const secret = takeFreshCredentials(clientId);
  if (secret !== null) showCredentials('The account is created', clientId, secret);

  const sections = (value: Account) => {
    // Of an account that does not exist there is nothing else to read.
    const { keys, apiKeys, bindings, events } = (parts ??= partsOf(
      clientId,
      () => account.value?.roles ?? [],
    ));
    const rotated = async () => {
      await Promise.all([account.reload(), events.reload()]);
    };
    const changed = (after: Account) => {
      account.set(after);
      void events.reload();
    };
    return html`
      ${facts(value)}
      <div class="buttons">
        <button type="button" @click=${() => rotateSecret(value, rotated)}>Rotate the secret</button>
      </div>
      ${rights(value, changed)} ${keys.view()} ${apiKeys.view()} ${bindings.view()}
      ${events.view('this account')}
      <section aria-labelledby="delete">
        <h2 id="delete">Delete</h2>
        <p>
          The account goes with its secret, public keys, API keys and workload identities. All its tokens end
          now.
        </p>
        <button type="button" class="danger" @click=${() => askDeletion(value)}>Delete the account</button>
      </section>
    `;
  };
  return {
    get title() {
      return account.value?.name ?? 'Service account';
    },
    view: () => html`
      <p class="back"><a href=${href(['service-accounts'])}>All service accounts</a></p>
      ${account.view((value) => (value === null ? absentView('service account', clientId) : sections(value)))}
    `,
  };
}

function facts({ clientId, createdAt, secretCreatedAt, previousSecretUntil }: Account): TemplateResult {
  return html`<dl class="facts">
    <dt>Client ID</dt>
    <dd><code>${clientId}</code></dd>
    <dt>Created</dt>
    <dd>${time(createdAt)}</dd>
    <dt>Secret created</dt>
    <dd>
      ${time(secretCreatedAt)}
      ${
        previousSecretUntil === undefined
          ? nothing
          : html`<span class="tag"
              >the one before it is accepted as well, and ends ${time(previousSecretUntil)}</span
            >`
      }
    </dd>
  </dl>`;
}

function rights(account: Account, changed: (account: Account) => void): TemplateResult {
  const { roles = [] } = account;
  return html`<section aria-labelledby="rights">
    <h2 id="rights">What it may do</h2>
    <div class="cards rights">
      <div class="card">
        <h3>Roles</h3>
        <p>${rolesView(roles)}</p>
        <p class="detail">
          They are in its tokens. When one is taken away, all access tokens of the account end.
        </p>
        <button type="button" @click=${() => changeRoles(account, changed)}>Change roles</button>
      </div>
      ${(Object.keys(RIGHT_TEXTS) as AudienceRight[]).map((right) => {
        const { legend, hint, lost } = RIGHT_TEXTS[right];
        return html`<div class="card">
          <h3>${legend}</h3>
          <p>${audiencesText(account[right] ?? [])}</p>
          <p class="detail">${hint} ${lost}</p>
          <button
            type="button"
            aria-label="Change audiences: ${legend}"
            @click=${() => changeAudiences(account, right, changed)}
          >
            Change audiences
          </button>
        </div>`;
      })}
    </div>
  </section>`;
}

function askDeletion({ clientId = '', name = '' }: Account): void {
  confirm({
    title: `Delete ${name}`,
    text: 'Its secret, public keys and API keys stop working, and all its tokens end now, everywhere. A new account of the same name has another client ID.',
    verb: 'Delete the account',
    name,
    work: async () => {
      await admin('deleteServiceAccount', { clientId });
      navigate(['service-accounts']);
    },
  });
}
