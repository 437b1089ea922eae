import type { SecretDigests } from '../../crypto/keyed-digests.ts';
import type { AccessTokenIssuer } from '../sessions/access-token-issuer.ts';
import type { ExchangeGrant, ExchangeRequest } from '../token-exchange/exchange-grant.ts';
import type { ExchangeCall, GrantResolver } from '../token-exchange/exchange-token.ts';
import { findCandidates } from './binding-queries.ts';
import { claimsMatch } from './binding-rules.ts';
import { checkOutsideToken, type OutsideTokenDependencies } from './check-outside-token.ts';
import { grantTo, selectBinding } from './select-binding.ts';

export interface ResolveOutsideTokenDependencies extends OutsideTokenDependencies {
  readonly issuer: Pick<AccessTokenIssuer, 'audienceFor'>;
  readonly digests: Pick<SecretDigests, 'ofOutsideSubject'>;
}

/**
 * Resolves a token of another issuer: who it says the caller is, and which service account that identity is bound to.
 *
 * The lifetime of the issued token is not that of the outside one, which for a CI job is minutes: what was issued is revoked with
 * the binding, the issuer and the account.
 */
export function resolveOutsideToken(dependencies: ResolveOutsideTokenDependencies): GrantResolver {
  return (request, call) => resolve(dependencies, request, call);
}

async function resolve(
  dependencies: ResolveOutsideTokenDependencies,
  request: ExchangeRequest,
  call: ExchangeCall,
): Promise<ExchangeGrant> {
  const { database, issuer: issuing, digests } = dependencies;
  const { issuer, claims, subject, digest, expiresAtSeconds } = await checkOutsideToken(
    dependencies,
    request.subjectToken,
    call,
  );
  const candidates = await database.run(call, (db) => findCandidates(db, issuer.id, subject));
  const matching = candidates.filter(({ binding }) => claimsMatch(binding.claims, claims));
  const target = { type: 'issuer', id: issuer.id } as const;
  const selected = selectBinding(matching, request, { target });
  return {
    ...grantTo(selected, request, { audienceFor: (requested) => issuing.audienceFor(requested) }),
    usesUp: issuer.acceptOnce ? { purpose: 'outside-token', digest, expiresAtSeconds } : null,
    details: {
      issuer: issuer.id,
      binding: selected.binding.id,
      subject_digest: digests.ofOutsideSubject(issuer.id, subject).subarray(0, 16).toString('hex'),
    },
  };
}
