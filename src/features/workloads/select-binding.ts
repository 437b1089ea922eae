import { Rejected, type RefusedSubject } from '../../domain/rejection.ts';
import type { ExchangeGrant, ExchangeRequest } from '../token-exchange/exchange-grant.ts';
import { type Candidate, findCandidate } from './binding-queries.ts';

/**
 * Selects the binding for an identity, among those that match it.
 *
 * @param request.serviceAccount the id or the name that the caller asks for; empty where one binding matches
 * @throws Rejected `identity-not-bound` when none matches, or none to that account; `field-invalid` when several do
 */
export function selectBinding(
  matching: readonly Candidate[],
  { serviceAccount, roles }: Pick<ExchangeRequest, 'serviceAccount' | 'roles'>,
  subject: RefusedSubject,
): Candidate {
  const wanted = matching.filter(
    ({ account: { id, name } }) => serviceAccount === '' || id === serviceAccount || name === serviceAccount,
  );
  const [first] = wanted;
  if (first === undefined) throw new Rejected({ kind: 'identity-not-bound', subject });
  if (wanted.every(({ account }) => account.id === first.account.id)) return fitting(wanted, first, roles);
  const description =
    'must name one of the service accounts that this identity is bound to, since there are several';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'service_account', description }] });
}

/** Of several bindings to one account, one that gives the roles that are asked for, else the one with the most roles. */
function fitting(candidates: readonly Candidate[], first: Candidate, asked: readonly string[]): Candidate {
  const widest = candidates.reduce(
    (best, next) => (boundRoles(next).length > boundRoles(best).length ? next : best),
    first,
  );
  const gives = (candidate: Candidate) => asked.every((role) => boundRoles(candidate).includes(role));
  return gives(widest) ? widest : (candidates.find(gives) ?? widest);
}

/** The roles that tokens of a binding can have: those of the account now, as far as the binding gives them. */
function boundRoles({ account, binding }: Candidate): readonly string[] {
  const { roles } = binding;
  return roles === null ? account.roles : account.roles.filter((role) => roles.includes(role));
}

/**
 * What may be issued to a workload.
 *
 * @param audiences the configured audiences, the default first
 * @throws Rejected `field-invalid` for an audience that the account may not ask for. `confirm` of the grant: `conflict` when
 *   the account has lost a role or the audience meanwhile
 */
export function grantTo(
  candidate: Candidate,
  { audience }: Pick<ExchangeRequest, 'audience'>,
  audiences: { readonly audienceFor: (requested: string) => string },
): Omit<ExchangeGrant, 'usesUp' | 'details'> {
  const { account, binding } = candidate;
  const { id, name, allowedAudiences } = account;
  const roles = boundRoles(candidate);
  const granted = allowedAudience(audience, allowedAudiences, audiences);
  return {
    subject: { type: 'service', id, name, sessionId: null, externalId: null, authentication: null },
    clientId: id,
    actor: null,
    roles,
    audience: granted,
    expiresAtSeconds: null,
    countedBy: null,
    dependsOn: { accountId: id, actorIds: [], bindingId: binding.id, serviceKeyId: null, apiKeyId: null },
    // A change of the account that has committed since revoked the tokens that it found, and this one is not among them yet.
    confirm: async (trx) => {
      const now = await findCandidate(trx, binding.id);
      if (now === null || !stillAllows(now, roles, granted)) throw new Rejected({ kind: 'conflict' });
    },
  };
}

function stillAllows(candidate: Candidate, roles: readonly string[], audience: string): boolean {
  const { allowedAudiences } = candidate.account;
  const rolesNow = boundRoles(candidate);
  return (
    roles.every((role) => rolesNow.includes(role)) &&
    (allowedAudiences === null || allowedAudiences.includes(audience))
  );
}

function allowedAudience(
  requested: string,
  allowed: readonly string[] | null,
  { audienceFor }: { readonly audienceFor: (requested: string) => string },
): string {
  const audience = audienceFor(requested === '' ? (allowed?.[0] ?? '') : requested);
  if (allowed === null || allowed.includes(audience)) return audience;
  const description = 'must be one of the allowed_audiences of the service account, or empty for the first';
  throw new Rejected({ kind: 'field-invalid', violations: [{ field: 'audience', description }] });
}
