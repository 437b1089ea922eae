import type { CallBudget } from '../../domain/operation-call.ts';
import { type AccessClass, ADMIN_ROLE, type Caller } from '../../domain/caller.ts';
import type { AuditActor } from '../../domain/audit-event.ts';
import type { VerifiedClaims } from '../../domain/claims/claims.ts';
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
  /** POSTERN_SECOND_FACTOR_ROLES. */
  readonly secondFactorRoles: readonly string[];
}

/**
 * Authenticates the bearer of an access token or an API key for methods of an access class. The role `admin` is read from
 * the database on every call, so that a removed role ends at once and not when the token expires (A03); the token must have it as well,
 * so that a narrower one does not administer. A method for users takes only tokens of a session: each service that a
 * narrower token passes through could otherwise change the password. The access class `service` relies on the token alone: deleting a service account revokes its tokens, and calls keep working while the database is
 * unreachable.
 *
 * Where a second factor is needed for the role `admin`, a user's own token below level `aal2` gets `step-up-required`.
 *
 * A token for another audience is refused (RFC 9068 section 4): otherwise any service that receives it could replay it
 * here and act as its bearer. A legacy HS256 token has no audience and is therefore always refused.
 *
 * @param credential.address from where it is used, which an API key may restrict
 * @throws Rejected `token-refused`, `api-key-invalid`, `credential-not-allowed`, `admin-required`, `step-up-required`,
 *   `service-required`, `trust-stale`, `store-unavailable`
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
  const { apiAudience } = dependencies;
  const caller = await bearerOf({ ...dependencies, apiAudience: () => apiAudience }, credential);
  const { type, id, roles, claims } = caller;
  switch (credential.access) {
    case 'user':
      if (isDerived(claims)) throw new Rejected({ kind: 'credential-not-allowed', caller: { type, id } });
      if (type === 'user') return caller;
      throw claimsInvalid(
        'this method needs the token of a user, not of a service account; log in as a user',
      );
    case 'service':
      return requireService(caller);
    case 'admin': {
      const lacksLevel = lacksLevelOfAdmin(claims, dependencies.secondFactorRoles);
      // A narrower token stays narrower: without the role in it, that of the subject does not count. A user's own token below
      // the level lacks the role as well, but can get it.
      const mayStepUp = lacksLevel && !isDerived(claims);
      const holdsRole = roles.includes(ADMIN_ROLE) && !lacksLevel;
      if (!holdsRole && !mayStepUp) throw adminRequired({ type, id });
      const rolesNow = await currentRoles(dependencies.database, caller, budget);
      if (!rolesNow.includes(ADMIN_ROLE)) throw adminRequired({ type, id });
      if (!holdsRole) throw stepUpRequired({ type, id });
      return { ...caller, roles: rolesNow };
    }
    default:
      return credential.access satisfies never;
  }
}

/** Where a credential is used, which an API key may restrict. */
interface UsedCredential {
  readonly token: string;
  readonly address?: string | null;
}

/** The audience is a function where it comes from the upstream. */
type BearerDependencies = VerifyDependencies & { readonly apiAudience: () => string };

/**
 * The class of access `service` without a database, as a relay has it.
 *
 * @throws Rejected `token-refused`, `api-key-invalid`, `service-required`, `trust-stale`
 */
export async function authenticateService(
  dependencies: BearerDependencies,
  credential: UsedCredential,
): Promise<Caller> {
  return requireService(await bearerOf(dependencies, credential));
}

function requireService(caller: Caller): Caller {
  if (caller.type !== 'service') throw new Rejected({ kind: 'service-required' });
  return caller;
}

async function bearerOf(
  dependencies: BearerDependencies,
  { token, address = null }: UsedCredential,
): Promise<Caller & { readonly type: 'user' | 'service'; readonly claims: VerifiedClaims }> {
  const claims = await verifyToken(dependencies, { token, audience: '', address });
  // After the verification, which waits for the first audiences in a process that gets them from its upstream.
  const apiAudience = dependencies.apiAudience();
  if (!claims.audience.includes(apiAudience))
    throw claimsInvalid(
      `this method needs a token for the audience '${apiAudience}'; request one with that audience`,
    );
  const { subjectType: type, subject: id, sessionId, roles } = claims;
  return { type, id, sessionId, roles, claims };
}

/**
 * Whether a user's credential is below the level that the role `admin` needs. It may have the role all the same: it was issued
 * before the policy was set.
 */
function lacksLevelOfAdmin(
  { subjectType, acr }: VerifiedClaims,
  secondFactorRoles: readonly string[],
): boolean {
  return subjectType === 'user' && secondFactorRoles.includes(ADMIN_ROLE) && acr !== 'aal2';
}

function adminRequired(caller: Pick<Caller, 'type' | 'id'>): Rejected {
  return new Rejected({ kind: 'admin-required', caller });
}

function stepUpRequired(caller: AuditActor): Rejected {
  const detail =
    'the role admin needs a second factor; call StepUp with a code or a passkey, or add a factor first';
  return new Rejected({ kind: 'step-up-required', detail, caller });
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
