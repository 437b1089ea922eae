import type { Endpoint } from '../http-call.ts';
import type { AuthCalls } from './auth-calls.ts';
import { introspectionEndpoint } from './introspection-endpoint.ts';
import { OAuthEndpoint, type OAuthWork } from './oauth-endpoint.ts';
import { formLogin, jsonLogin } from './password-endpoints.ts';
import { revocationEndpoint } from './revocation-endpoint.ts';
import { tokenEndpoint } from './token-endpoint.ts';

/** Which endpoints are served: POSTERN_OAUTH, POSTERN_PASSWORD_DOOR. */
export interface ServedOAuth {
  readonly oauth: boolean;
  readonly passwordDoor: boolean;
}

/**
 * The endpoints by their paths. An issuer with a path has them below it as well, for a proxy that passes paths on as they
 * are.
 */
export function oauthEndpoints(
  calls: AuthCalls,
  issuer: string,
  { oauth, passwordDoor }: ServedOAuth,
): ReadonlyMap<string, Endpoint> {
  const works: [string, OAuthWork][] = [
    ...(oauth
      ? ([
          ['/oauth/token', tokenEndpoint(calls, { hasPassword: passwordDoor })],
          ['/oauth/introspect', introspectionEndpoint(calls)],
          ['/oauth/revoke', revocationEndpoint(calls)],
        ] satisfies [string, OAuthWork][])
      : []),
    ...(passwordDoor
      ? ([
          ['/login', jsonLogin(calls)],
          ['/token', formLogin(calls)],
        ] satisfies [string, OAuthWork][])
      : []),
  ];
  const prefix = issuerPath(issuer);
  return new Map(
    works.flatMap(([path, work]) => {
      const endpoint = new OAuthEndpoint(work);
      return prefix === ''
        ? [[path, endpoint]]
        : [
            [path, endpoint],
            [prefix + path, endpoint],
          ];
    }),
  );
}

/** The path of an issuer without its final slash; empty where it has none. */
export function issuerPath(issuer: string): string {
  return new URL(issuer).pathname.replace(/\/$/, '');
}
