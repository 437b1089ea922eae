import { randomBytes } from 'node:crypto';

import type { AuditEvent } from '../../domain/audit-event.ts';
import { type OperationCall, withoutCancellation } from '../../domain/operation-call.ts';
import { type FieldRules, optional, requireValid, text, unrestricted } from '../../domain/validation.ts';
import { Rejected } from '../../domain/rejection.ts';
import {
  checkServiceProof,
  credentialRefused,
  type ProofDependencies,
  replayRefused,
  type ServiceCredentials,
} from './check-service-proof.ts';
import { recordServiceToken, revokeOldestServiceTokens } from './service-token-queries.ts';
import { createTokenId } from '../../tokens/issue/sign-access-token.ts';
import { cancellationOf } from '../../passwords/hashing/call-deadline.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { AccessTokenIssuer } from '../sessions/access-token-issuer.ts';

export interface ServiceTokenInput extends ServiceCredentials {
  /** Empty for the default audience. */
  readonly audience: string;
}

/** An access token without a refresh token: the service gets the next one with its secret or its key. */
export interface IssuedServiceToken {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
}

export interface ServiceTokenDependencies extends ProofDependencies {
  readonly issuer: AccessTokenIssuer;
  readonly trust: Pick<TrustBundle, 'revoke'>;
}

/** Id, secret and assertion have no field rules: a malformed one is answered like a wrong credential. */
const rules: FieldRules<ServiceTokenInput> = {
  clientId: unrestricted,
  clientSecret: unrestricted,
  clientAssertion: unrestricted,
  audience: optional(text({ minBytes: 1, maxBytes: 256 })),
};

/**
 * The maximum number of live tokens of one account. When a service requests a token for every call instead of reusing
 * the last one, its oldest tokens beyond this number are revoked: deleting the account must be able to revoke all
 * tokens in one transaction.
 */
export const MAX_LIVE_TOKENS = 10_000;

/**
 * Issues an access token to a service account. Malformed ids and secrets are refused before the database is queried,
 * with the same answer as all other failures. There is no throttle: 160 random bits cannot be guessed, and an attempt
 * costs one HMAC. Neither can a signature; an attempt with an assertion costs at most one verification.
 *
 * The id of each token is recorded in the statement that checks the secret or the key under a lock. A service's token has no
 * session to revoke, and there is no revocation by issue time, so a deletion of the account finds its tokens by these
 * ids.
 *
 * @throws Rejected `invalid-credentials`, `token-refused`, `field-invalid`, `store-unavailable`, `trust-stale`
 */
export async function issueServiceToken(
  dependencies: ServiceTokenDependencies,
  input: ServiceTokenInput,
  call: OperationCall,
): Promise<IssuedServiceToken> {
  const { database, issuer, trust } = dependencies;
  requireValid(rules, input);
  const cancellation = cancellationOf(call, Date.now());
  if (cancellation !== undefined) throw new Rejected(cancellation);
  const audience = issuer.audienceFor(input.audience);
  const { accountId, proof } = await checkServiceProof(dependencies, input, call);
  const tokenId = createTokenId(randomBytes(16));
  const issue = {
    tokenId,
    accountId,
    audience,
    proof,
    lifetimeSeconds: issuer.lifetimeSeconds,
    countUpTo: MAX_LIVE_TOKENS,
  };
  const event: AuditEvent = {
    action: 'service.token',
    outcome: 'ok',
    actor: { type: 'service', id: accountId },
    target: { type: 'token', id: tokenId },
    ...('kid' in proof && { details: { kid: proof.kid } }),
  };
  const { origin } = call;
  // Not cancellable: a caller that cancels after its token was recorded could otherwise skip the revocation of the
  // oldest tokens and exceed the limit.
  const uncancellable = withoutCancellation(call);
  const recorded = await database.run(uncancellable, (db) =>
    recordServiceToken(db, issue, { event, origin }),
  );
  if (recorded.outcome === 'replayed') throw replayRefused(accountId);
  if (recorded.outcome === 'audience-not-allowed') throw audienceNotAllowed();
  if (recorded.outcome !== 'recorded') {
    if (recorded.outcome === 'unknown-service') throw credentialRefused('unknown-service');
    throw credentialRefused('kid' in proof ? 'unknown-key' : 'wrong-secret', accountId);
  }
  if (recorded.held > MAX_LIVE_TOKENS) {
    trust.revoke(
      await database.run(uncancellable, (db) => revokeOldestServiceTokens(db, accountId, MAX_LIVE_TOKENS)),
    );
  }
  const { token, expiresInSeconds } = await issuer.issueToService({
    accountId,
    name: recorded.name,
    roles: recorded.roles,
    audience,
    tokenId,
  });
  return { accessToken: token, expiresInSeconds };
}

/** Only a caller who has proven to be the account is told. */
function audienceNotAllowed(): Rejected {
  const description =
    'is not one that this account may ask for; an administrator allows it with UpdateServiceAccount or `postern service change`';
  return new Rejected({ kind: 'field-invalid', violations: [{ field: 'audience', description }] });
}
