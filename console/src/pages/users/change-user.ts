import { html, nothing } from 'lit-html';

import type { User } from '../../../../src/generated/postern/v1/admin.ts';
import { navigate } from '../../router.ts';
import { admin, Refusal } from '../../rpc.ts';
import { confirm } from '../../ui/dialog.ts';
import { openForm } from '../../ui/form-dialog.ts';
import { wordsOf } from '../../ui/words.ts';
import { rolesField } from '../../ui/roles.ts';
import { update } from '../../update.ts';
import type { Wire } from '../../wire.ts';
import { roleChange } from './role-change.ts';

/** What the changes of a user need from its page. */
export interface UserOnPage {
  readonly user: Wire<User>;
  readonly isSelf: boolean;
  /** Whether nobody else who is enabled has the role `admin`. */
  readonly isOnlyAdmin: boolean;
  /** Shows the user as it is now. */
  readonly changed: (user: Wire<User>) => void;
  /** Reads the user again. */
  readonly reload: () => Promise<void>;
}

type Changes =
  { readonly email: string } | { readonly roles: { roles: string[] } } | { readonly disabled: boolean };

/** Changes the user that the administrator has seen, and no later state of it. */
async function change({ user, changed, reload }: UserOnPage, changes: Changes): Promise<void> {
  const { id: userId = '', etag = '' } = user;
  changed(await explainConflict(reload, () => admin('updateUser', { userId, etag, ...changes })));
}

/** @throws Refusal, which says of a conflict what to do; the page then shows the user as it is now */
async function explainConflict<T>(reload: () => Promise<void>, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.reason === 'RESOURCE_NOT_FOUND') await reload();
    if (error.reason !== 'CONFLICT') throw error;
    await reload();
    throw new Refusal(
      'Somebody else has changed this user meanwhile, and nothing was changed now. The page behind shows the user as it is. Cancel, look, and decide again.',
      error.reason,
      error.requestId,
      error.metadata,
    );
  }
}

export function askForEmail(page: UserOnPage): void {
  const { email = '' } = page.user;
  openForm({
    title: `Change the e-mail of ${email}`,
    verb: () => 'Change the e-mail',
    fields: () => html`
      <label
        >New e-mail
        <input
          name="email"
          type="email"
          required
          maxlength="254"
          value=${email}
          autocomplete="off"
          spellcheck="false"
      /></label>
      <p>The user logs in with it from then on. ${endOfSessions(page)}</p>
    `,
    work: ({ text }) => change(page, { email: text('email') }),
  });
}

function endOfSessions({ isSelf }: UserOnPage): string {
  return isSelf ? 'All your sessions end, this one too: log in again.' : 'All sessions of the user end.';
}

export function askForRoles(page: UserOnPage): void {
  const { email = '', roles = [] } = page.user;
  let typed = roles.join(', ');
  const effect = () => roleChange(roles, wordsOf(typed), page);
  const typing = (text: string) => {
    typed = text;
    update();
  };
  openForm({
    title: `Change the roles of ${email}`,
    verb: () => 'Change the roles',
    isReady: () => {
      const { gained, lost, impossible } = effect();
      return impossible === '' && gained.length + lost.length > 0;
    },
    fields: () => {
      const { gained, lost, impossible, warnings } = effect();
      const line = (verb: string, names: readonly string[]) =>
        names.length === 0 ? nothing : html`<p>${verb}: <strong>${names.join(', ')}</strong></p>`;
      return html`
        ${rolesField({ label: 'Roles, separated by commas', value: typed, typed: typing })}
        <div aria-live="polite">
          ${line('Gains', gained)} ${line('Loses', lost)}
          ${warnings.map((warning) => html`<p>${warning}</p>`)}
          ${impossible === '' ? nothing : html`<p class="notice warn">${impossible}</p>`}
        </div>
      `;
    },
    work: ({ text }) => change(page, { roles: { roles: wordsOf(text('roles')) } }),
  });
}

export function askToDisable(page: UserOnPage): void {
  const { email = '' } = page.user;
  confirm({
    title: `Disable ${email}`,
    text: 'Logins are refused, all sessions end within a fraction of a second, and API keys are refused until you enable the user again.',
    verb: 'Disable the user',
    name: null,
    work: () => change(page, { disabled: true }),
  });
}

export function askToEnable(page: UserOnPage): void {
  const { email = '' } = page.user;
  confirm({
    title: `Enable ${email}`,
    text: 'The user can log in again, and the API keys of the user are accepted again. Sessions that have ended stay ended.',
    verb: 'Enable the user',
    name: null,
    work: () => change(page, { disabled: false }),
  });
}

export function askToDelete({ user, reload }: UserOnPage): void {
  const { id: userId = '', etag = '', email = '' } = user;
  confirm({
    title: `Delete ${email}`,
    text: 'The user goes with sessions, second factors and API keys, and nobody can bring them back. The audit trail stays. To keep the user out for a while, disable instead.',
    verb: 'Delete the user',
    name: email,
    work: () => explainConflict(reload, () => admin('deleteUser', { userId, etag })),
    whenDone: () => navigate(['users']),
  });
}
