import type { AccessClass, Caller } from '../domain/caller.ts';
import { callerByCertificate, type ClientIdentities } from '../net/certificate-identity.ts';
import { bearerToken } from './bearer-token.ts';
import type { Call } from './call.ts';

type GuardedAccess = Exclude<AccessClass, 'public'>;

/** Lets a call in to a method that is not public, or throws `Rejected`. */
export type Authenticate = (access: GuardedAccess, call: Call) => Promise<Caller>;

/**
 * Knows a caller by the access token or, where none was sent, by the client certificate. Whoever sends a token is judged
 * by it alone, however good the certificate: a gateway that passes on its callers' tokens lends them nothing of its own.
 * The certificate is the connection's; what a header tells of one is not looked at.
 */
export function authenticateBy(
  identities: ClientIdentities,
  byToken: (token: string, access: GuardedAccess, call: Call) => Promise<Caller>,
): Authenticate {
  return async (access, call) => {
    const known =
      call.authorization.length === 0 ? callerByCertificate(identities, access, call.clientNames) : null;
    return known ?? byToken(bearerToken(call.authorization), access, call);
  };
}
