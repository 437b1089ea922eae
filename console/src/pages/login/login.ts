import { html, nothing, type TemplateResult } from 'lit-html';
import { ref } from 'lit-html/directives/ref.js';

import { Refusal } from '../../rpc.ts';
import { farewellMessage, logIn } from '../../session.ts';
import { Action } from '../../ui/action.ts';
import { focus } from '../../ui/focus.ts';
import { update } from '../../update.ts';
import { getPasskey, hasPasskeys, NOT_CONFIRMED, noPasskeysHere } from './passkeys.ts';
import { codeLabel, waitText } from './login-rules.ts';

/** An e-mail and a password that are right, for a user who has a second factor as well. */
interface HalfDone {
  readonly email: string;
  readonly password: string;
  /** What the user can use: `totp`, `passkey`, `recovery`. */
  readonly factors: readonly string[];
}

const action = new Action();
let halfDone: HalfDone | null = null;
/** Until when logins are throttled, by `performance.now()`; 0 when they are not. */
let throttledUntilMs = 0;
/** Whether the service has no passkeys, which it says when it is asked for one. */
let arePasskeysOff = false;
/** The passkeys that the browser offers in the field of the e-mail (conditional UI). It runs one request at a time. */
let offer: AbortController | null = null;

/** A field of the form that was submitted, as it was typed: a space may be part of a password. */
function field(form: HTMLFormElement, name: string): HTMLInputElement | null {
  const element = form.elements.namedItem(name);
  return element instanceof HTMLInputElement ? element : null;
}

/** Tries to log in; a refusal leads to the next step, or back to the field that is wrong. */
async function attempt(work: () => Promise<void>, form: HTMLFormElement | null = null): Promise<void> {
  const isDone = await action.run(async () => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.reason === NOT_CONFIRMED) return;
      throw afterRefusal(error);
    }
  });
  if (isDone) return;
  const wrong = form && (field(form, 'code') ?? field(form, 'password'));
  wrong?.focus();
  wrong?.select();
}

/** What is said of a refusal. */
function afterRefusal(refusal: Refusal): Refusal {
  const { reason, requestId, retryAfterSeconds } = refusal;
  if (reason === 'PASSKEYS_DISABLED') arePasskeysOff = true;
  if (reason === 'INVALID_CREDENTIALS')
    return new Refusal('The e-mail or the password is wrong.', reason, requestId);
  if (retryAfterSeconds === null || reason !== 'LOGIN_RATE_LIMITED') return refusal;
  throttledUntilMs = performance.now() + retryAfterSeconds * 1000;
  setTimeout(() => {
    throttledUntilMs = 0;
    action.reset();
    update();
  }, retryAfterSeconds * 1000);
  const text = `Too many failed logins. Try again in ${waitText(retryAfterSeconds)}.`;
  return new Refusal(text, reason, requestId);
}

async function submitPassword(event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const form = event.target as HTMLFormElement;
  const [email, password] = ['email', 'password'].map((name) => field(form, name)?.value ?? '');
  if (email === undefined || password === undefined) return;
  await attempt(async () => {
    try {
      await logIn({ email, password });
      stopOffer();
    } catch (error) {
      if (!(error instanceof Refusal) || error.reason !== 'SECOND_FACTOR_REQUIRED') throw error;
      stopOffer();
      halfDone = { email, password, factors: (error.metadata['factors'] ?? '').split(',') };
    }
  }, form);
}

async function submitCode(event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const form = event.target as HTMLFormElement;
  const code = field(form, 'code')?.value ?? '';
  await attempt(() => finish({ code }), form);
}

async function finish(factor: { code: string } | { passkey: Awaited<ReturnType<typeof getPasskey>> }) {
  if (halfDone === null) return;
  const { email, password } = halfDone;
  await logIn({ email, password, ...factor });
  halfDone = null;
}

async function logInWithPasskey(): Promise<void> {
  stopOffer();
  await attempt(async () => logIn(await getPasskey()));
}

function startOver(): void {
  halfDone = null;
  action.reset();
  update();
}

function stopOffer(): void {
  offer?.abort();
  offer = null;
}

/** How long an offer stays before it is made anew: the challenge of the service is valid for longer, five minutes. */
const OFFER_MS = 240_000;

/** Lets the browser offer passkeys in the field of the e-mail. Nobody asked for it, so that a failure is not said. */
async function offerPasskeys(): Promise<void> {
  if (offer !== null || !canUsePasskeys()) return;
  const controller = (offer = new AbortController());
  const { signal } = controller;
  if (!(await PublicKeyCredential.isConditionalMediationAvailable())) return;
  const again = setTimeout(() => {
    if (offer !== controller) return;
    stopOffer();
    void offerPasskeys();
  }, OFFER_MS);
  try {
    const answer = await getPasskey({ mediation: 'conditional', signal });
    offer = null;
    await attempt(() => logIn(answer));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.reason === 'PASSKEYS_DISABLED') arePasskeysOff = true;
    update();
  } finally {
    clearTimeout(again);
  }
}

const canUsePasskeys = () => hasPasskeys() && noPasskeysHere() === null && !arePasskeysOff;
const isBusy = () => action.isRunning || throttledUntilMs > performance.now();

/** Once, when the login is shown. */
const whenShown = (element: Element | undefined): void => {
  if (element === undefined) {
    stopOffer();
    return;
  }
  focus(element);
  void offerPasskeys();
};

/** Once, when another page takes the place of the login, perhaps because somebody has logged in in another tab. */
const whenLeft = (element: Element | undefined): void => {
  if (element !== undefined) return;
  halfDone = null;
  action.reset();
};

/** The login, in place of a page. */
export function loginView(): TemplateResult {
  return html`<h1 tabindex="-1" ${ref(whenLeft)}>Log in to Postern</h1>
    ${farewellMessage() === '' || halfDone !== null ? nothing : html`<p role="status">${farewellMessage()}</p>`}
    ${
      isSecureContext
        ? nothing
        : html`<p class="notice" role="status">
            This page is not encrypted, so the browser keeps no session: you are logged out when you reload
            it. Open it with https, or as http://localhost.
          </p>`
    }
    ${halfDone === null ? passwordView() : factorView(halfDone)}`;
}

function passwordView(): TemplateResult {
  const noPasskeys = isSecureContext && hasPasskeys() ? noPasskeysHere() : null;
  return html`<form @submit=${submitPassword}>
    <label
      >E-mail <input ${ref(whenShown)} name="email" type="email" required autocomplete="username webauthn"
    /></label>
    <label>Password <input name="password" type="password" required autocomplete="current-password" /></label>
    ${action.failure()}
    <div class="buttons">
      <button ?disabled=${isBusy()}>Log in</button>
      ${
        canUsePasskeys()
          ? html`<button type="button" ?disabled=${isBusy()} @click=${() => void logInWithPasskey()}>
              Use a passkey
            </button>`
          : nothing
      }
    </div>
    ${noPasskeys === null ? nothing : html`<p class="detail">${noPasskeys}</p>`}
  </form>`;
}

/** The second step. Postern takes the password and the factor in one call, so that no half-open session exists in between. */
function factorView({ email, factors }: HalfDone): TemplateResult {
  const hasApp = factors.includes('totp');
  const hasCode = hasApp || factors.includes('recovery');
  const hasPasskey = factors.includes('passkey');
  const isPasskeyUsable = hasPasskey && canUsePasskeys();
  return html`<form @submit=${submitCode}>
    <p>The password of <strong>${email}</strong> is right. Now your second factor.</p>
    ${
      hasCode
        ? html`<label
            >${codeLabel(hasApp, factors.includes('recovery'))}
            <input
              ${ref(focus)}
              name="code"
              required
              autocomplete="one-time-code"
              autocapitalize="off"
              spellcheck="false"
          /></label>`
        : nothing
    }
    ${
      hasPasskey && !isPasskeyUsable
        ? html`<p class="detail">
            ${noPasskeysHere() ?? 'You have a passkey, which this browser cannot use at this address.'}
          </p>`
        : nothing
    }
    ${action.failure()}
    <div class="buttons">
      ${hasCode ? html`<button ?disabled=${isBusy()}>Log in</button>` : nothing}
      ${
        isPasskeyUsable
          ? html`<button
              type="button"
              ?disabled=${isBusy()}
              @click=${() => void attempt(async () => finish({ passkey: await getPasskey() }))}
            >
              Use a passkey
            </button>`
          : nothing
      }
      <button type="button" @click=${startOver}>Start over</button>
    </div>
  </form>`;
}
