import { html, type TemplateResult } from 'lit-html';

import type { User } from '../../../../src/generated/postern/v1/admin.ts';
import { href, type Page } from '../../router.ts';
import { admin, Refusal } from '../../rpc.ts';
import { loggedIn } from '../../session.ts';
import { ApiKeys } from '../../ui/api-keys.ts';
import { stateView, time } from '../../ui/format.ts';
import { Load } from '../../ui/load.ts';
import { rememberName } from '../../ui/names.ts';
import { absentView, RecentEvents } from '../../ui/recent-events.ts';
import { rolesView } from '../../ui/roles.ts';
import { Sessions } from '../../ui/sessions.ts';
import { isId } from '../../ui/short-id.ts';
import type { Wire } from '../../wire.ts';
import {
  askForEmail,
  askForRoles,
  askToDelete,
  askToDisable,
  askToEnable,
  type UserOnPage,
} from './change-user.ts';
import { askToResetPassword } from './reset-password.ts';
import { UserFactors } from './user-factors.ts';

const REFUSED_LOGIN =
  'A refused login says why; the user was told only that the e-mail or the password is wrong.';

/** A user, and whether nobody else who is enabled has the role `admin`; null where there is no such user. */
type Shown = Pick<UserOnPage, 'user' | 'isOnlyAdmin'> | null;

/** `#/users/ID` */
export function userPage(userId: string): Page {
  const isSelf = userId === loggedIn()?.userId;
  const shown = new Load<Shown>(() => read(userId));
  /** Read once it is known that there is such a user. */
  let sections: Sections | null = null;
  const sectionsOf = () => (sections ??= openSections(userId, () => shown.value?.user.roles ?? []));
  const reload = async () => {
    await shown.reload();
    if (shown.value !== null) reloadSections(sectionsOf());
  };
  const view = ({ user, isOnlyAdmin }: NonNullable<Shown>) => {
    const { email = '' } = user;
    const changed = (after: Wire<User>) => {
      rememberName(userId, after.email);
      // Shown at once; whether others are administrators as well is read anew.
      shown.set({ user: after, isOnlyAdmin });
      void reload();
    };
    const page = { user, isSelf, isOnlyAdmin, changed, reload };
    const { sessions, factors, keys, events } = sectionsOf();
    const reset = () => reloadSections(sectionsOf());
    return html`
      ${facts(page)}
      <div class="buttons">
        <button type="button" @click=${() => askToResetPassword(user, reset)}>
          Create a password reset token
        </button>
        ${stateButtons(page)}
      </div>
      ${sessions.view(email)} ${factors.view({ email, isSelf, reset })} ${keys.view(user.disabled)}
      ${events.view('this user', REFUSED_LOGIN)}
    `;
  };
  return {
    get title() {
      return shown.value?.user.email ?? 'User';
    },
    view: () => html`
      <p class="back"><a href=${href(['users'])}>All users</a></p>
      ${shown.view((value) => (value === null ? absentView('user', userId) : view(value)))}
    `,
  };
}

interface Sections {
  readonly sessions: Sessions;
  readonly factors: UserFactors;
  readonly keys: ApiKeys;
  readonly events: RecentEvents;
}

function openSections(userId: string, roles: () => readonly string[]): Sections {
  return {
    sessions: new Sessions(userId),
    factors: new UserFactors(userId),
    keys: new ApiKeys({ userId }, roles),
    events: new RecentEvents(userId, { acts: true }),
  };
}

/** A change of the user may end sessions and keys, and is an event. */
function reloadSections({ sessions, factors, keys, events }: Sections): void {
  sessions.reload();
  void factors.reload();
  void keys.reload();
  void events.reload();
}

async function read(userId: string): Promise<Shown> {
  if (!isId(userId)) return null;
  try {
    const user = await admin('getUser', { userId });
    rememberName(userId, user.email);
    return { user, isOnlyAdmin: await isOnlyAdmin(user) };
  } catch (error) {
    if (error instanceof Refusal && error.reason === 'RESOURCE_NOT_FOUND') return null;
    throw error;
  }
}

/** Of an only administrator the role, the state and the user cannot be taken away, so nothing of it is offered. */
async function isOnlyAdmin({ roles = [], disabled = false }: Wire<User>): Promise<boolean> {
  if (disabled || !roles.includes('admin')) return false;
  const { users = [] } = await admin('listUsers', { role: 'admin', disabled: false, pageSize: 2 });
  return users.length < 2;
}

function facts(page: UserOnPage): TemplateResult {
  const { id, email, externalId = '', roles = [], disabled, createdAt, updatedAt } = page.user;
  return html`<dl class="facts">
    <dt>E-mail</dt>
    <dd>
      ${email}
      <button type="button" class="quiet" aria-label="Change the e-mail" @click=${() => askForEmail(page)}>
        Change
      </button>
    </dd>
    <dt>State</dt>
    <dd>${stateView(disabled)}</dd>
    <dt>Roles</dt>
    <dd>
      ${rolesView(roles)}
      <button type="button" class="quiet" aria-label="Change the roles" @click=${() => askForRoles(page)}>
        Change
      </button>
    </dd>
    <dt>ID</dt>
    <dd><code>${id}</code></dd>
    <dt>External ID</dt>
    <dd>${externalId === '' ? html`<span class="absent">none</span>` : externalId}</dd>
    <dt>Created</dt>
    <dd>${time(createdAt)}</dd>
    <dt>Last changed</dt>
    <dd>${time(updatedAt)}</dd>
  </dl>`;
}

function stateButtons(page: UserOnPage): TemplateResult {
  const { disabled = false } = page.user;
  if (page.isSelf || page.isOnlyAdmin)
    return html`<p class="detail">
      ${
        page.isSelf
          ? 'You cannot disable or delete yourself: another administrator can.'
          : 'The only administrator cannot be disabled or deleted: give somebody else the role admin first.'
      }
    </p>`;
  return html`${
      disabled
        ? html`<button type="button" @click=${() => askToEnable(page)}>Enable the user</button>`
        : html`<button type="button" class="danger" @click=${() => askToDisable(page)}>
            Disable the user
          </button>`
    } <button type="button" class="danger" @click=${() => askToDelete(page)}>Delete the user</button>`;
}
