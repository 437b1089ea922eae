import { post, Refusal } from './post.ts';
import { accessToken, endedElsewhere, renewSession } from './session.ts';
import type { AdminMethods, AuthMethods } from './wire.ts';

export { Refusal };

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

/** Reasons for which a new access token helps, if the session still lives. */
const RENEWABLE = new Set(['TOKEN_EXPIRED', 'TOKEN_REVOKED', 'TOKEN_KEY_UNKNOWN', 'CREDENTIALS_MISSING']);

async function call<Response>(service: string, name: string, request: object): Promise<Response> {
  const method = name.charAt(0).toUpperCase() + name.slice(1);
  const path = `postern.v1.${service}/${method}`;
  try {
    return (await post(path, request, accessToken())) as Response;
  } catch (error) {
    if (!(error instanceof Refusal) || !RENEWABLE.has(error.reason)) throw error;
    if (!(await renewSession())) {
      endedElsewhere();
      throw error;
    }
    return (await post(path, request, accessToken())) as Response;
  }
}
