import type { CallBudget } from '../../domain/operation-call.ts';
import { type AccessClass, ADMIN_ROLE, type Caller } from '../../domain/caller.ts';
import { isDerived } from '../../domain/claims/derived-token.ts';
import { isUuid } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';
import type { Database } from '../../database/database.ts';
import { findServiceRoles } from '../service-accounts/service-account-queries.ts';
import { findUser } from '../users/user-queries.ts';
import { verifyToken, type VerifyDependencies } from './verify-token.ts';

export interface AuthenticateDependencies extends VerifyDependencies {
  readonly database: Database;
  /** The audience that a token must have to be accepted by Postern's own methods. */
  readonly apiAudience: string;
}

/**
 * Authenticates the bearer of an access token or an API key for methods of an access class. The role `admin` is read from
 * the database on every call, so that a removed role ends at once and not when the token expires (A03); the token must have it as well,
 * so that a narrower one does not administer. A method for users takes only tokens of a session: each service that a
 * narrower token passes through could otherwise change the password. The access class `service` relies on the token alone: deleting a service account revokes its tokens, and calls keep working while the database is
 * unreachable.
 *
 * A token for another audience is refused (RFC 9068 section 4): otherwise any service that receives it could replay it
 * here and act as its bearer. A legacy HS256 token has no audience and is therefore always refused.
 *
 * @param credential.address from where it is used, which an API key may restrict
 * @throws Rejected `token-refused`, `api-key-invalid`, `credential-not-allowed`, `admin-required`, `service-required`, `trust-stale`, `store-unavailable`
 */
export async function authenticateCaller(
  dependencies: AuthenticateDependencies,
  credential: {
    readonly token: string;
    readonly access: Exclude<AccessClass, 'public'>;
    readonly address?: string | null;
  },
  budget: CallBudget,
): Promise<Caller> {
  const { token, access, address = null } = credential;
  const claims = await verifyToken(dependencies, { token, audience: '', address });
  const { apiAudience } = dependencies;
  if (!claims.audience.includes(apiAudience))
    throw claimsInvalid(
      `this method needs a token for the audience '${apiAudience}'; request one with that audience`,
    );
  const { subjectType: type, subject: id, sessionId, roles } = claims;
  const caller: Caller = { type, id, sessionId, roles, claims };
  switch (access) {
    case 'user':
      if (isDerived(claims)) throw new Rejected({ kind: 'credential-not-allowed', caller: { type, id } });
      if (type === 'user') return caller;
      throw claimsInvalid(
        'this method needs the token of a user, not of a service account; log in as a user',
      );
    case 'service':
      if (type === 'service') return caller;
      throw new Rejected({ kind: 'service-required' });
    case 'admin': {
      // A narrower token stays narrower: without the role in it, that of the subject does not count.
      if (!roles.includes(ADMIN_ROLE)) throw new Rejected({ kind: 'admin-required', caller: { type, id } });
      const rolesNow = await currentRoles(dependencies.database, caller, budget);
      if (rolesNow.includes(ADMIN_ROLE)) return { ...caller, roles: rolesNow };
      throw new Rejected({ kind: 'admin-required', caller: { type, id } });
    }
    default:
      return access satisfies never;
  }
}

function claimsInvalid(detail: string): Rejected {
  return new Rejected({ kind: 'token-refused', refusal: { reason: 'TOKEN_CLAIMS_INVALID', detail } });
}

async function currentRoles(
  database: Database,
  caller: Caller,
  budget: CallBudget,
): Promise<readonly string[]> {
  if (!isUuid(caller.id)) return [];
  if (caller.type === 'service') {
    return (await database.run(budget, (db) => findServiceRoles(db, caller.id))) ?? [];
  }
  const user = await database.run(budget, (db) => findUser(db, { id: caller.id }));
  return user && !user.disabled ? user.roles : [];
}
