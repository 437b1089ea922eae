import type { TokenSet } from '../../src/generated/postern/v1/auth.ts';
import { post, Refusal } from './post.ts';
import {
  checkOf,
  claimsOf,
  farewellOf,
  isRenewedAfter,
  type LoggedIn,
  renewalDelayMs,
} from './session-rules.ts';
import { update } from './update.ts';
import type { AuthMethods, Wire } from './wire.ts';

export type { LoggedIn };

interface Session extends LoggedIn {
  readonly accessToken: string;
}

/** What the page knows of its session: `unknown` until the first renewal was answered. */
type State = { readonly kind: 'unknown' | 'none' } | { readonly kind: 'session'; readonly session: Session };

let state: State = { kind: 'unknown' };
/** Why the login is shown, for somebody who was logged in; empty otherwise. */
let farewell = '';
/** Why the service does not answer for the session; null while it does. */
let trouble: Refusal | null = null;
let renewal: ReturnType<typeof setTimeout> | undefined;
/** Whether the time of a renewal has come while the page was hidden. */
let isDue = false;
let renewing: Promise<Renewed> | null = null;
let isChecking = false;
/** How many checks in a row were refused. */
let refusals = 0;
/** Tells the other tabs that a session has ended or begun. */
const tabs = new BroadcastChannel('postern');

/** How often a page asks whether its token is still accepted, so that it notices the end of its session, ms. */
const CHECK_EVERY_MS = 5_000;

/** What came of a renewal: the session goes on, has ended, or is now that of somebody else, who logged in in another tab. */
type Renewed = 'same-user' | 'other-user' | 'ended';

export function sessionState(): State['kind'] {
  return state.kind;
}

export function loggedIn(): LoggedIn | null {
  return state.kind === 'session' ? state.session : null;
}

export function accessToken(): string | null {
  return state.kind === 'session' ? state.session.accessToken : null;
}

export function farewellMessage(): string {
  return farewell;
}

/** Why the service does not answer, or null while it does. */
export function sessionTrouble(): Refusal | null {
  return trouble;
}

/** Begins: takes up the session of the cookie, if there is one, and follows it from then on. */
export async function startSession(): Promise<void> {
  tabs.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data === 'ended' && state.kind === 'session') end('You logged out in another tab.');
    else if (data === 'begun') void attempt(renewSession);
  };
  setInterval(() => void checkSession(), CHECK_EVERY_MS);
  for (const event of ['online', 'pageshow', 'focus']) addEventListener(event, () => void checkSession());
  document.addEventListener('visibilitychange', () => void checkSession());
  await checkSession();
}

/** Logs in by password, code or passkey. @throws Refusal */
export async function logIn(
  body: AuthMethods['login']['request'] | AuthMethods['loginWithPasskey']['request'],
): Promise<void> {
  accept(await postAboutCookie('console/session', body, null));
  announceSession();
}

/** Tells other tabs that the cookie has another session, which they then take up. */
export function announceSession(): void {
  tabs.postMessage('begun');
}

/** Takes a new access token of the session: after a login, a renewal, or a change of the session's level. */
export function accept(tokens: Wire<TokenSet>): void {
  const token = tokens.accessToken ?? '';
  state = { kind: 'session', session: { ...claimsOf(token), accessToken: token } };
  farewell = '';
  trouble = null;
  isDue = false;
  clearTimeout(renewal);
  renewal = setTimeout(
    () => {
      // A hidden page renews when somebody looks at it again.
      isDue = true;
      void checkSession();
    },
    renewalDelayMs(tokens.expiresIn ?? 0),
  );
  update();
}

/** Gets a new access token for the session of the cookie. @throws Refusal; the session may still live */
export function renewSession(): Promise<Renewed> {
  renewing ??= oneTabAtATime(renew).finally(() => (renewing = null));
  return renewing;
}

async function renew(): Promise<Renewed> {
  const before = loggedIn();
  try {
    const tokens: Wire<TokenSet> = await post('console/session/refresh', {}, null);
    if (tokens.accessToken === undefined) throw new Refusal('', 'REFRESH_TOKEN_INVALID');
    accept(tokens);
    return before === null || before.userId === loggedIn()?.userId ? 'same-user' : 'other-user';
  } catch (error) {
    const message = error instanceof Refusal ? farewellOf(error.reason, before !== null) : null;
    if (message === null) throw error;
    // After a logout the reason is said already.
    if (state.kind !== 'none') end(message);
    return 'ended';
  }
}

/** A request whose answer may set the cookie. @throws Refusal */
export function postAboutCookie(path: string, body: object, bearer: string | null): Promise<object> {
  return oneTabAtATime(() => post(path, body, bearer));
}

/**
 * Tabs share the cookie. One request about it after the other: an answer to an old refresh token could otherwise replace or
 * delete the new one of another tab.
 */
async function oneTabAtATime<T>(work: () => Promise<T>): Promise<T> {
  return 'locks' in navigator ? navigator.locks.request('postern-session', work) : work();
}

/** Renews the session where that is due, and asks otherwise whether its token is still accepted. */
async function checkSession(): Promise<void> {
  if (isChecking || document.hidden || state.kind === 'none') return;
  isChecking = true;
  try {
    if (state.kind === 'unknown' || isDue) await attempt(renewSession);
    else await attempt(checkToken);
  } finally {
    isChecking = false;
  }
}

async function checkToken(): Promise<void> {
  const token = accessToken();
  if (token === null) return;
  const request: AuthMethods['verifyToken']['request'] = { accessToken: token };
  const refusal = await post('postern.v1.AuthService/VerifyToken', request, null).then(
    () => null,
    (error: unknown) => {
      if (error instanceof Refusal) return error;
      throw error;
    },
  );
  if (token !== accessToken()) return;
  const check = checkOf(refusal?.reason ?? null);
  if (refusal !== null && check === 'unanswered') throw refusal;
  refusals = check === 'refused' ? refusals + 1 : 0;
  if (isRenewedAfter(refusals)) await renewSession();
}

/** Keeps why the service does not answer. */
async function attempt(work: () => Promise<unknown>): Promise<void> {
  const before = trouble;
  try {
    await work();
    trouble = null;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    trouble = error;
  }
  if (trouble?.message !== before?.message) update();
}

function end(message: string): void {
  clearTimeout(renewal);
  state = { kind: 'none' };
  farewell = message;
  trouble = null;
  refusals = 0;
  update();
}

/** Logs out. @throws Refusal; the session then still lives */
export async function logOut(message = 'You are logged out.'): Promise<void> {
  try {
    await postAboutCookie('console/session/end', {}, null);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { reason, requestId } = error;
    throw new Refusal(`You are still logged in. ${error.message}`, reason, requestId);
  }
  end(message);
  tabs.postMessage('ended');
}
