import { Rejected } from '../../domain/rejection.ts';
import type { Database } from '../../database/database.ts';
import type { AccessTokenIssuer } from '../sessions/access-token-issuer.ts';
import type { GrantResolver } from '../token-exchange/exchange-token.ts';
import { type Candidate, findCandidates } from './binding-queries.ts';
import { isSpiffeUri } from './binding-rules.ts';
import { grantTo, selectBinding } from './select-binding.ts';

/**
 * Resolves the client certificate of the connection, which the listener has verified, by the URI or DNS name that a binding
 * names.
 */
export function resolveCertificate(dependencies: {
  readonly database: Database;
  readonly issuer: Pick<AccessTokenIssuer, 'audienceFor'>;
}): GrantResolver {
  const { database, issuer } = dependencies;
  return async (request, call) => {
    const { clientNames: names } = call;
    if (names === null || names.length === 0)
      throw new Rejected({ kind: 'credentials-missing', accepts: 'subject-token-or-certificate' });
    const candidates = await database.run(call, (db) => findCandidates(db, null, null));
    const matching = candidates.filter((candidate) => hasName(names, candidate));
    const [name = ''] = names;
    const actor = { type: 'certificate', id: name } as const;
    const selected = selectBinding(matching, request, { actor });
    return {
      ...grantTo(selected, request, { audienceFor: (requested) => issuer.audienceFor(requested) }),
      usesUp: null,
      details: { certificate: boundName(selected), binding: selected.binding.id },
    };
  };
}

/** A certificate with several URIs is no SPIFFE identity (X509-SVID section 2), so none of its SPIFFE IDs counts. */
function hasName(names: readonly string[], candidate: Candidate): boolean {
  const name = boundName(candidate);
  const uris = names.filter((shown) => shown.includes(':'));
  return names.includes(name) && (!isSpiffeUri(name) || uris.length === 1);
}

function boundName({ binding: { claims } }: Candidate): string {
  return claims['uri'] ?? claims['dns'] ?? '';
}
