import type { TokenSet } from '../../src/generated/postern/v1/auth.ts';
import { post, Refusal } from './post.ts';
import { update } from './update.ts';
import type { AuthMethods, Wire } from './wire.ts';

/** Who is logged in, by the claims of the access token. The service judges the token; the page only shows them. */
export interface LoggedIn {
  readonly userId: string;
  readonly sessionId: string;
  readonly roles: readonly string[];
  /** `aal1` or `aal2`. */
  readonly acr: string;
}

interface Session extends LoggedIn {
  readonly accessToken: string;
}

/** What the page knows of its session: `unknown` until the first renewal was answered. */
type State = { readonly kind: 'unknown' | 'none' } | { readonly kind: 'session'; readonly session: Session };

let state: State = { kind: 'unknown' };
/** Why the login is shown, for somebody who was logged in; empty otherwise. */
let farewell = '';
let renewal: ReturnType<typeof setTimeout> | undefined;
let renewing: Promise<boolean> | null = null;
/** Tells the other tabs that the session has ended or begun. */
const tabs = new BroadcastChannel('postern');

/** Renews at this part of the lifetime of the access token. */
const RENEW_AT = 0.75;
/** How often a page asks whether its token is still accepted, so that it notices the end of its session, ms. */
const CHECK_EVERY_MS = 5_000;

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

/** Begins: takes up the session of the cookie, if there is one, and follows it from then on. */
export async function startSession(): Promise<void> {
  tabs.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (data === 'ended') forget('');
    else if (data === 'begun' && state.kind === 'none') void renewSession();
  };
  setInterval(() => void checkSession(), CHECK_EVERY_MS);
  document.addEventListener('visibilitychange', () => void checkSession());
  await renewSession();
}

/** Logs in by password, code or passkey. @throws Refusal */
export async function logIn(
  body: AuthMethods['login']['request'] | AuthMethods['loginWithPasskey']['request'],
): Promise<void> {
  accept(await post('console/session', body, null));
  tabs.postMessage('begun');
}

/** Changes the password, which opens a new session in place of all others. @throws Refusal */
export async function changePassword(body: AuthMethods['changePassword']['request']): Promise<void> {
  accept(await post('console/session', body, accessToken()));
}

/** Takes the access token that a change of the session's level returned. */
export function accept(tokens: Wire<TokenSet>): void {
  const token = tokens.accessToken ?? '';
  state = { kind: 'session', session: { ...claimsOf(token), accessToken: token } };
  farewell = '';
  clearTimeout(renewal);
  renewal = setTimeout(() => void renewSession(), (tokens.expiresIn ?? 0) * 1000 * RENEW_AT);
  update();
}

/** Gets a new access token for the session of the cookie. Returns whether there is one. */
export function renewSession(): Promise<boolean> {
  renewing ??= renew().finally(() => (renewing = null));
  return renewing;
}

async function renew(): Promise<boolean> {
  try {
    accept(await post('console/session/refresh', {}, null));
    return true;
  } catch (error) {
    // Without an answer the session may still live: the next call or check tries again.
    if (error instanceof Refusal && error.reason !== '' && isOver(error.reason)) {
      if (state.kind === 'session') endedElsewhere();
      else forget('');
      return false;
    }
    if (state.kind === 'unknown') forget(error instanceof Refusal ? error.message : String(error));
    return false;
  }
}

function isOver(reason: string): boolean {
  return reason.startsWith('REFRESH_TOKEN_');
}

/** Asks whether the token is still accepted. A token that has expired is renewed. */
async function checkSession(): Promise<void> {
  const token = accessToken();
  if (token === null || document.hidden) return;
  try {
    await post('postern.v1.AuthService/VerifyToken', { token }, null);
  } catch (error) {
    if (error instanceof Refusal && error.reason.startsWith('TOKEN_') && token === accessToken())
      await renewSession();
  }
}

/** Shows the login, because the session has ended elsewhere. */
export function endedElsewhere(): void {
  forget('Your session has ended. Log in again.');
}

function forget(message: string): void {
  clearTimeout(renewal);
  state = { kind: 'none' };
  farewell = message;
  update();
}

/** Logs out. @throws Refusal; the session then still lives */
export async function logOut(): Promise<void> {
  await post('console/session/end', {}, null);
  forget('You are logged out.');
  tabs.postMessage('ended');
}

interface Claims {
  readonly sub?: string;
  readonly sid?: string;
  readonly roles?: readonly string[];
  readonly acr?: string;
}

function claimsOf(token: string): LoggedIn {
  const payload = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  const { sub = '', sid = '', roles = [], acr = '' } = JSON.parse(new TextDecoder().decode(bytes)) as Claims;
  return { userId: sub, sessionId: sid, roles, acr };
}
