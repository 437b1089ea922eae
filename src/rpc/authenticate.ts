import type { AccessClass, Caller } from '../domain/caller.ts';
import { callerByCertificate, type ClientIdentities } from '../net/certificate-identity.ts';
import { bearerToken } from './bearer-token.ts';
import type { Call } from './call.ts';

type GuardedAccess = Exclude<AccessClass, 'public'>;

/** Authenticates the caller of a method that is not public. @throws Rejected */
export type Authenticate = (access: GuardedAccess, call: Call) => Promise<Caller>;

/**
 * Authenticates a caller by the access token or, if none was sent, by the client certificate. With a token the certificate
 * is ignored, so that a gateway that forwards its callers' tokens does not lend them its own access. The certificate is
 * that of the connection; headers that describe a certificate are ignored.
 */
export function authenticateBy(
  identities: ClientIdentities,
  byToken: (token: string, access: GuardedAccess, call: Call) => Promise<Caller>,
): Authenticate {
  return async (access, call) => {
    const certificateCaller =
      call.authorization.length === 0 ? callerByCertificate(identities, access, call.clientNames) : null;
    if (certificateCaller !== null) return certificateCaller;
    const accepts = access === 'user' ? 'token' : 'token-or-certificate';
    return byToken(bearerToken(call.authorization, accepts), access, call);
  };
}
