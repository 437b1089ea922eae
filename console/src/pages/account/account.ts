import { html, nothing, type TemplateResult } from 'lit-html';

import type { Page, Route } from '../../router.ts';
import { loggedIn, logOut, accessToken } from '../../session.ts';
import { auth } from '../../rpc.ts';
import { ApiKeys } from '../../ui/api-keys.ts';
import { confirm } from '../../ui/dialog.ts';
import { Sessions } from '../../ui/sessions.ts';
import { Factors } from './factors.ts';
import { Identity } from './identity.ts';
import { PasswordForm } from './password.ts';

/** `#/account` */
export function accountPage({ segments }: Route): Page | null {
  if (segments.length > 1) return null;
  const isAdmin = loggedIn()?.roles.includes('admin') ?? false;
  const sessions = isAdmin ? new Sessions(loggedIn()?.userId ?? '') : null;
  const factors: Factors = new Factors(() => {
    sessions?.reload();
    return identity.reload();
  });
  const identity: Identity = new Identity(isAdmin, () => factors.hasAny);
  const password = new PasswordForm({
    email: () => identity.email,
    whenChanged: () => {
      sessions?.reload();
      return factors.reload();
    },
  });
  const apiKeys = new ApiKeys(null, () => loggedIn()?.roles ?? []);
  return {
    title: 'My account',
    view: () =>
      html`${identity.view()} ${factors.view()} ${password.view()}
      ${sessionsView(identity.isAdminWithheld ? null : sessions)} ${apiKeys.view()}`,
  };
}

function sessionsView(sessions: Sessions | null): TemplateResult {
  return html`<section>
    <div class="heading">
      <h2>Sessions</h2>
      <div class="buttons">
        <button type="button" class="danger" @click=${askToEndAll}>End all my sessions</button>
      </div>
    </div>
    <p class="detail">
      When you have lost a device, or do not know a session, end all of them: each device has to log in again.
    </p>
    ${sessions?.list() ?? nothing}
  </section>`;
}

function askToEndAll(): void {
  confirm({
    title: 'End all of your sessions',
    text: 'This one ends as well. Access tokens are refused within a second. API keys stay valid.',
    verb: 'End them',
    name: null,
    work: async () => {
      await auth('revokeToken', { token: accessToken() ?? '', allSessions: true });
      await logOut('All of your sessions have ended.');
    },
  });
}
