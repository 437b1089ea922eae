import { html, nothing, render, type TemplateResult } from 'lit-html';

import { accountPage } from './pages/account/account.ts';
import { audiencesPage } from './pages/audiences/audiences.ts';
import { auditPage } from './pages/audit/audit.ts';
import { loginView } from './pages/login/login.ts';
import { issuersPage } from './pages/trusted-issuers/trusted-issuers.ts';
import { overviewPage } from './pages/overview/overview.ts';
import { serviceAccountsPage } from './pages/service-accounts/service-accounts.ts';
import { signingKeysPage } from './pages/signing-keys/signing-keys.ts';
import { usersPage } from './pages/users/users.ts';
import { askForProof } from './pages/login/step-up.ts';
import { currentRoute, href, type Page, type Route } from './router.ts';
import { onProofRequired } from './rpc.ts';
import { loggedIn, logOut, sessionState, sessionTrouble, startSession } from './session.ts';
import { Action } from './ui/action.ts';
import { closeDialogs, dialogView } from './ui/dialog.ts';
import { errorView } from './ui/load.ts';
import { onUpdate, update } from './update.ts';

interface Section {
  readonly path: string;
  readonly title: string;
  /** Opens the page of a route below the path. Null: there is no such page. */
  readonly open: (route: Route) => Page | null;
  /** Whether only administrators see it. */
  readonly isForAdmins: boolean;
}

const sections: readonly Section[] = [
  { path: 'overview', title: 'Overview', open: overviewPage, isForAdmins: true },
  { path: 'users', title: 'Users', open: usersPage, isForAdmins: true },
  { path: 'service-accounts', title: 'Service accounts', open: serviceAccountsPage, isForAdmins: true },
  { path: 'signing-keys', title: 'Signing keys', open: signingKeysPage, isForAdmins: true },
  { path: 'trusted-issuers', title: 'Trusted issuers', open: issuersPage, isForAdmins: true },
  { path: 'audiences', title: 'Audiences', open: audiencesPage, isForAdmins: true },
  { path: 'audit', title: 'Audit', open: auditPage, isForAdmins: true },
  { path: 'account', title: 'My account', open: accountPage, isForAdmins: false },
];

const notFound: Page = {
  title: 'Not found',
  view: () => html`<p>There is no such page. <a href="#/">Back to the start</a></p>`,
};

let page: Page | null = null;
/** The address, the user and the roles that `page` was opened for. */
let openedFor = '';
let openedRoles = '';
const logOutAction = new Action();
/** On small screens the navigation is folded away. */
let isMenuOpen = false;
/** A postern: the small gate in a wall. */
const gate = html`<svg viewBox="0 0 18 20" aria-hidden="true">
  <path
    fill="none"
    stroke="currentColor"
    stroke-width="2"
    stroke-linejoin="round"
    d="M1 19V9a8 8 0 0 1 16 0v10zM6 19V11a3 3 0 0 1 6 0v8"
  />
</svg>`;

function sectionsOfUser(): readonly Section[] {
  const isAdmin = loggedIn()?.roles.includes('admin') ?? false;
  return sections.filter(({ isForAdmins }) => isAdmin || !isForAdmins);
}

/** Opens the page of the address, if it is not open. */
function openPage(): void {
  const user = loggedIn();
  const key = user === null ? '' : `${user.userId} ${location.hash}`;
  const roles = user?.roles.join() ?? '';
  if (key === openedFor && roles === openedRoles) return;
  const isFirst = openedFor === '';
  // A proof of the user may add a role to the token. What the page shows then, such as recovery codes, stays.
  if (key !== openedFor) closeDialogs();
  openedFor = key;
  openedRoles = roles;
  page?.leave?.();
  page = null;
  isMenuOpen = false;
  if (user === null) return;
  const route = currentRoute();
  const [path = sectionsOfUser()[0]?.path] = route.segments;
  const section = sections.find((candidate) => candidate.path === path);
  // Whoever may not see a page is told on My account why. The page opens as soon as the token has the role.
  page =
    section && !sectionsOfUser().includes(section)
      ? accountPage({ segments: ['account'], query: new URLSearchParams() })
      : (section?.open(route) ?? null);
  page ??= notFound;
  // A screen reader begins at the new page, and so does the keyboard.
  if (!isFirst) queueMicrotask(() => document.querySelector<HTMLElement>('h1')?.focus());
}

function view(): TemplateResult {
  openPage();
  switch (sessionState()) {
    case 'unknown':
      return html`<main class="login">${troubleView() ?? html`<p role="status">Loading…</p>`}</main>`;
    case 'none':
      document.title = 'Log in · Postern';
      return html`<main class="login">${loginView()}</main>`;
    case 'session':
      document.title = `${page?.title ?? ''} · Postern`;
      return html`${header()}
        <main id="main">
          ${troubleView() ?? nothing}
          <h1 tabindex="-1">${page?.title ?? ''}</h1>
          ${page?.view() ?? nothing}
        </main>`;
  }
}

/** Why the service does not answer, while it does not. */
function troubleView(): TemplateResult | null {
  const trouble = sessionTrouble();
  return trouble && html`${errorView(trouble, 'Trying again every few seconds…')}`;
}

function header(): TemplateResult {
  const [current = sectionsOfUser()[0]?.path] = currentRoute().segments;
  const skip = (event: Event) => {
    event.preventDefault();
    document.querySelector<HTMLElement>('h1')?.focus();
  };
  return html`<a class="skip" href="#main" @click=${skip}>Skip to the content</a>
    <header>
      <div class="topbar">
        <a class="brand" href="#/">${gate} Postern</a>
        <button
          type="button"
          class="menu"
          aria-expanded=${isMenuOpen}
          aria-controls="pages"
          @click=${() => {
            isMenuOpen = !isMenuOpen;
            update();
          }}
        >
          Menu
        </button>
        <nav id="pages" aria-label="Pages">
          ${sectionsOfUser().map(
            ({ path, title, isForAdmins }) =>
              html`<a
                class=${isForAdmins ? '' : 'own'}
                href=${href([path])}
                aria-current=${path === current ? 'page' : 'false'}
                >${title}</a
              >`,
          )}
        </nav>
        <button
          type="button"
          class="quiet"
          ?disabled=${logOutAction.isRunning}
          @click=${() => void logOutAction.run(() => logOut())}
        >
          Log out
        </button>
      </div>
      ${logOutAction.failure()}
    </header>`;
}

const root = document.querySelector<HTMLElement>('#app');
if (!root) throw new Error('the page has no #app');
onProofRequired(askForProof);
// The answer to a call of a session that has ended, such as a new secret, is not for whoever sees the login.
onUpdate(() => render(html`${view()}${sessionState() === 'session' ? dialogView() : nothing}`, root));
addEventListener('hashchange', update);
root.replaceChildren();
update();
await startSession();
