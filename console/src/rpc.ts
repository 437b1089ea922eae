import { post, Refusal } from './post.ts';
import { type Remedy, remedyFor } from './session-rules.ts';
import { accessToken, loggedIn, renewSession } from './session.ts';
import type { AdminMethods, AuthMethods } from './wire.ts';

export { Refusal };

/** Asks for a fresh proof of who the user is. Returns whether there is one. @param path of the refused call */
type AskForProof = (path: string) => Promise<boolean>;

let askForProof: AskForProof = () => Promise.resolve(false);

/** Sets what is done when a call needs a fresh proof. */
export function onProofRequired(ask: AskForProof): void {
  askForProof = ask;
}

/** Calls a method of AdminService. @throws Refusal */
export function admin<Name extends keyof AdminMethods>(
  name: Name,
  request: AdminMethods[Name]['request'],
): Promise<AdminMethods[Name]['response']> {
  return call('AdminService', name, request as object);
}

/** Calls a method of AuthService, as the user who is logged in. @throws Refusal */
export function auth<Name extends keyof AuthMethods>(
  name: Name,
  request: AuthMethods[Name]['request'],
): Promise<AuthMethods[Name]['response']> {
  return call('AuthService', name, request as object);
}

/** Calls a method of AuthService with no credential of one's own: what it refuses says nothing about this session. @throws Refusal */
export function authAnonymously<Name extends keyof AuthMethods>(
  name: Name,
  request: AuthMethods[Name]['request'],
): Promise<AuthMethods[Name]['response']> {
  return post(pathOf('AuthService', name), request as object, null);
}

async function call<Response>(service: string, name: string, request: object): Promise<Response> {
  return (await callWithToken(pathOf(service, name), request)) as Response;
}

/**
 * A request with the access token, repeated after what makes it succeed: a new token, or a fresh proof of the user. It is not
 * repeated for somebody else, who has logged in in another tab meanwhile.
 *
 * @param send `postAboutCookie` for a request about the cookie
 * @throws Refusal
 */
export async function callWithToken(path: string, request: object, send = post): Promise<object> {
  const tried = new Set<Remedy>();
  for (;;) {
    const userId = loggedIn()?.userId;
    try {
      return await send(path, request, accessToken());
    } catch (error) {
      const remedy = error instanceof Refusal ? remedyFor(error.reason, tried) : null;
      if (remedy === null || userId === undefined) throw error;
      tried.add(remedy);
      if (!(await isRemedied(remedy, path)) || loggedIn()?.userId !== userId) throw error;
    }
  }
}

async function isRemedied(remedy: Remedy, path: string): Promise<boolean> {
  return remedy === 'renew' ? (await renewSession()) === 'same-user' : askForProof(path);
}

function pathOf(service: string, name: string): string {
  return `postern.v1.${service}/${name.charAt(0).toUpperCase()}${name.slice(1)}`;
}
