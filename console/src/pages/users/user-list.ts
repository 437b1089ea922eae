import { html, nothing, type TemplateResult } from 'lit-html';

import type { User } from '../../../../src/generated/postern/v1/admin.ts';
import { href, navigate, type Page, type Route } from '../../router.ts';
import { admin } from '../../rpc.ts';
import { Action } from '../../ui/action.ts';
import { entered } from '../../ui/form.ts';
import { stateView, time } from '../../ui/format.ts';
import { PagedList } from '../../ui/paged-list.ts';
import { rememberName } from '../../ui/names.ts';
import { rolesView } from '../../ui/roles.ts';
import { tableHead } from '../../ui/table.ts';
import type { Wire } from '../../wire.ts';
import { askToCreateUser } from './create-user.ts';
import { filtersOf, isFiltered, requestOf, typedId, type UserFilters } from './user-filters.ts';

/** `#/users?email=…&role=…&state=…` */
export function userListPage({ query }: Route): Page {
  const filters = filtersOf(query);
  const list = new PagedList<Wire<User>>(async (pageToken) => {
    const request = { ...requestOf(filters), pageToken };
    const { users = [], nextPageToken = '' } = await admin('listUsers', request);
    for (const { id, email } of users) rememberName(id, email);
    return { items: users, nextPageToken };
  });
  const search = new Action();
  return {
    title: 'Users',
    view: () => html`
      <div class="toolbar">
        ${searchForm(filters, search)}
        <button type="button" class="primary" @click=${() => askToCreateUser(() => list.reload())}>
          Create a user
        </button>
      </div>
      ${search.failure()}
      ${list.view(
        table,
        isFiltered(filters)
          ? 'No user matches. The e-mail is compared from its beginning, and the role as a whole.'
          : 'There are no users yet. Create one, or import those of another program with “postern user import”.',
      )}
    `,
  };
}

function searchForm(filters: UserFilters, action: Action): TemplateResult {
  const submit = (event: SubmitEvent) => {
    const { text } = entered(event);
    void action.run(() => search(text));
  };
  const option = (value: string, title: string) =>
    html`<option value=${value} ?selected=${value === filters.state}>${title}</option>`;
  return html`<form class="filters" role="search" aria-label="Search for users" @submit=${submit}>
    <label
      >E-mail begins with, or ID
      <input
        name="email"
        type="search"
        .value=${filters.email}
        maxlength="254"
        autocomplete="off"
        autocapitalize="none"
        spellcheck="false"
    /></label>
    <label
      >Role
      <input
        name="role"
        type="search"
        .value=${filters.role}
        maxlength="64"
        autocomplete="off"
        autocapitalize="none"
        spellcheck="false"
    /></label>
    <label
      >State
      <select name="state">
        ${option('', 'Any')} ${option('enabled', 'Enabled')} ${option('disabled', 'Disabled')}
      </select></label
    >
    <label
      >External ID
      <input name="external-id" type="search" maxlength="255" autocomplete="off" spellcheck="false"
    /></label>
    <button ?disabled=${action.isRunning}>Search</button>
    ${isFiltered(filters) ? html`<a href=${href(['users'])}>Clear</a>` : nothing}
  </form>`;
}

/** An id names one user, so it leads to the page of the user. */
async function search(text: (name: string) => string): Promise<void> {
  const id = typedId(text('email'));
  const externalId = text('external-id');
  if (id !== null) navigate(['users', id]);
  else if (externalId !== '') {
    const user = await admin('getUser', { externalId });
    navigate(['users', user.id ?? '']);
  } else navigate(['users'], { email: text('email'), role: text('role'), state: text('state') });
}

function table(users: readonly Wire<User>[]): TemplateResult {
  return html`<div class="scroll">
    <table class="users">
      ${tableHead(['E-mail', 'Roles', 'State', 'Created', 'External ID'])}
      <tbody>
        ${users.map(
          ({ id = '', email, roles = [], disabled, createdAt, externalId = '' }) =>
            html`<tr>
              <td><a href=${href(['users', id])}>${email}</a></td>
              <td>${rolesView(roles)}</td>
              <td>${stateView(disabled)}</td>
              <td>${time(createdAt)}</td>
              <td>${externalId === '' ? html`<span class="absent">–</span>` : externalId}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
