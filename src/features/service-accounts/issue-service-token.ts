import { randomBytes } from 'node:crypto';

import type { AuditEvent } from '../../domain/audit-event.ts';
import { type OperationCall, withoutCancellation } from '../../domain/operation-call.ts';
import {
  type FieldRules,
  isUuid,
  optional,
  requireValid,
  text,
  unrestricted,
} from '../../domain/validation.ts';
import { Rejected, type Rejection } from '../../domain/rejection.ts';
import { isScannableSecret } from '../../crypto/api-secret.ts';
import { sameDigest, type SecretDigests } from '../../crypto/keyed-digests.ts';
import type { Database } from '../../database/database.ts';
import { findSecretDigests } from './service-account-queries.ts';
import { recordServiceToken, revokeOldestServiceTokens } from './service-token-queries.ts';
import { createTokenId } from '../../tokens/issue/sign-access-token.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { AccessTokenIssuer } from '../sessions/access-token-issuer.ts';

export interface ServiceTokenInput {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Empty for the default audience. */
  readonly audience: string;
}

/** There is no refresh token: the secret serves for that. */
export interface IssuedServiceToken {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
}

export interface ServiceTokenDependencies {
  readonly database: Database;
  readonly digests: SecretDigests;
  readonly issuer: AccessTokenIssuer;
  readonly trust: Pick<TrustBundle, 'revoke'>;
}

/** Id and secret have no rules that a caller is told of: a wrong form is a wrong credential. */
const rules: FieldRules<ServiceTokenInput> = {
  clientId: unrestricted,
  clientSecret: unrestricted,
  audience: optional(text({ minBytes: 1, maxBytes: 256 })),
};

/**
 * Of a service that asks for a token at every turn instead of when the last one expires, the oldest tokens beyond this
 * many end: deleting the account must be able to revoke them all within one transaction.
 */
const MAX_LIVE_TOKENS = 10_000;

/**
 * Gives a service account an access token. Ids and secrets of a wrong form are refused before the database is asked,
 * with the answer of all other failures. There is no throttle: nobody guesses 160 bits, and a guess costs one HMAC.
 *
 * Each token's id is recorded in the transaction that looks at the secret under a lock: a service's token has no
 * session to revoke, and "everything before now" does not do, so this is how a deletion finds it.
 *
 * @throws Rejected `invalid-credentials`, `field-invalid`, `store-unavailable`, `trust-stale`
 */
export async function issueServiceToken(
  { database, digests, issuer, trust }: ServiceTokenDependencies,
  input: ServiceTokenInput,
  call: OperationCall,
): Promise<IssuedServiceToken> {
  requireValid(rules, input);
  const audience = issuer.audienceFor(input.audience);
  const { clientId: accountId, clientSecret } = input;
  if (!isUuid(accountId) || !isScannableSecret('psk_', clientSecret)) throw refused('malformed-secret');
  const secretDigest = digests.ofServiceSecret(clientSecret);
  const storedDigests = await database.run(call, (db) => findSecretDigests(db, accountId));
  if (storedDigests.length === 0) throw refused('unknown-service');
  if (!storedDigests.some((digest) => sameDigest(digest, secretDigest)))
    throw refused('wrong-secret', accountId);
  // A digest that somebody copied here from the account that he has.
  if (!digests.couldBeSecretOf(accountId, clientSecret)) throw refused('wrong-secret', accountId);

  const tokenId = createTokenId(randomBytes(16));
  const issue = {
    tokenId,
    accountId,
    secretDigest,
    lifetimeSeconds: issuer.lifetimeSeconds,
    countUpTo: MAX_LIVE_TOKENS,
  };
  const event: AuditEvent = {
    action: 'service.token',
    outcome: 'ok',
    actor: { type: 'service', id: accountId },
    target: { type: 'token', id: tokenId },
  };
  const { origin } = call;
  // Or whoever leaves while a token is noted would hold any number of them: what follows ends the oldest.
  const uncancellable = withoutCancellation(call);
  const recorded = await database.run(uncancellable, (db) =>
    recordServiceToken(db, issue, { event, origin }),
  );
  if (!recorded) throw refused('wrong-secret', accountId);
  if (recorded.held > MAX_LIVE_TOKENS) {
    trust.revoke(
      await database.run(uncancellable, (db) => revokeOldestServiceTokens(db, accountId, MAX_LIVE_TOKENS)),
    );
  }
  const { token, expiresInSeconds } = await issuer.issueToService({
    accountId,
    roles: recorded.roles,
    audience,
    tokenId,
  });
  return { accessToken: token, expiresInSeconds };
}

function refused(
  cause: Extract<Rejection, { kind: 'invalid-credentials' }>['cause'],
  accountId?: string,
): Rejected {
  const subject = accountId === undefined ? {} : ({ target: { type: 'service', id: accountId } } as const);
  return new Rejected({ kind: 'invalid-credentials', cause, subject });
}
