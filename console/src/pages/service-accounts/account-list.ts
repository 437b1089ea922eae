import { html, nothing, type TemplateResult } from 'lit-html';

import { href, navigate, type Page, type Route } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { entered } from '../../ui/form.ts';
import { wordsOf } from '../../ui/words.ts';
import { openForm } from '../../ui/form-dialog.ts';
import { time } from '../../ui/format.ts';
import { PagedList } from '../../ui/paged-list.ts';
import { rolesField, rolesView } from '../../ui/roles.ts';
import { Load } from '../../ui/load.ts';
import { tableHead } from '../../ui/table.ts';
import { audienceFields, audienceNames } from '../audiences/audience-fields.ts';
import { type Account, accounts } from '../../ui/accounts.ts';
import { keepFreshCredentials } from './credentials.ts';
import { audiencesText, RIGHT_TEXTS } from './rights-texts.ts';

/** `#/service-accounts?find=…` */
export function accountListPage({ query }: Route): Page {
  const wanted = (query.get('find') ?? '').trim().toLowerCase();
  const matches = ({ name = '', clientId = '' }: Account) =>
    name.toLowerCase().includes(wanted) || clientId === wanted;
  const list = new PagedList((pageToken) =>
    wanted === '' ? accounts.page(pageToken) : accounts.search(matches, pageToken),
  );
  const search = (event: SubmitEvent) => {
    navigate(['service-accounts'], { find: entered(event).text('find') });
  };
  return {
    title: 'Service accounts',
    view: () => html`
      <p class="detail">
        A service account is the identity of a program: it gets access tokens for itself, without a user.
      </p>
      <div class="toolbar">
        <form class="filters" role="search" @submit=${search}>
          <label
            >Name contains, or client ID
            <input
              name="find"
              type="search"
              .value=${query.get('find') ?? ''}
              autocomplete="off"
              spellcheck="false"
          /></label>
          <button>Search</button>
        </form>
        <button type="button" class="primary" @click=${openCreation}>Create a service account</button>
      </div>
      ${list.view(
        table,
        wanted === ''
          ? 'There are no service accounts yet. Create one for each program that calls others: it gets a client ID and a secret.'
          : 'No service account matches. Search for a part of the name, or for the whole client ID.',
      )}
    `,
  };
}

function table(items: readonly Account[]): TemplateResult {
  return html`<div class="scroll">
    <table>
      ${tableHead(['Name', 'Roles', 'May ask for', 'Secret', 'Created'])}
      <tbody>
        ${items.map(
          ({ clientId = '', name, roles = [], allowedAudiences = [], ...account }) =>
            html`<tr>
              <td><a href=${href(['service-accounts', clientId])}>${name}</a></td>
              <td>${rolesView(roles)}</td>
              <td>${audiencesText(allowedAudiences)}</td>
              <td>
                ${time(account.secretCreatedAt)}
                ${
                  account.previousSecretUntil === undefined
                    ? nothing
                    : html`<br /><span class="detail"
                          >old one ends ${time(account.previousSecretUntil)}</span
                        >`
                }
              </td>
              <td>${time(account.createdAt)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function openCreation(): void {
  let createdId = '';
  const allowed = new Set<string>();
  const own = new Set<string>();
  const delegation = new Set<string>();
  const names = new Load(async () => {
    const all = await audienceNames();
    if (all[0] !== undefined) allowed.add(all[0]);
    return all;
  });
  const audiences = (known: readonly string[]) => html`
    ${audienceFields({ ...RIGHT_TEXTS.allowedAudiences, names: known, chosen: allowed })}
    <details>
      <summary>Acting for users (delegation)</summary>
      ${audienceFields({ ...RIGHT_TEXTS.ownAudiences, names: known, chosen: own })}
      ${audienceFields({ ...RIGHT_TEXTS.delegationAudiences, names: known, chosen: delegation })}
    </details>
  `;
  openForm({
    title: 'Create a service account',
    verb: () => 'Create the account',
    isReady: () => names.value !== null,
    fields: () => html`
      <label
        >Name
        <input
          name="name"
          required
          maxlength="64"
          pattern="[A-Za-z0-9][A-Za-z0-9._:\\/\\-]*"
          title="letters, digits and ._:/- after a letter or digit"
          autocomplete="off"
          spellcheck="false"
        /><span class="detail"
          >The name of the program, such as billing. It cannot be changed later.</span
        ></label
      >
      ${rolesField({ label: 'Roles', hint: 'Separated by commas. Its tokens carry them. May be empty.' })}
      ${names.view(audiences)}
    `,
    work: async ({ text }) => {
      const { clientId = '', clientSecret = '' } = await admin('createServiceAccount', {
        name: text('name'),
        roles: wordsOf(text('roles')),
        allowedAudiences: [...allowed],
        ownAudiences: [...own],
        delegationAudiences: [...delegation],
      });
      keepFreshCredentials({ clientId, clientSecret });
      createdId = clientId;
    },
    afterwards: () => navigate(['service-accounts', createdId]),
  });
}
