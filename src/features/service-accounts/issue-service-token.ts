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
import { assertionDigest, checkServiceKey, type StoredServiceKey } from './keys/service-key.ts';
import { findServiceKeys } from './keys/service-key-queries.ts';
import { recordServiceToken, revokeOldestServiceTokens, type ServiceProof } from './service-token-queries.ts';
import { createTokenId } from '../../tokens/issue/sign-access-token.ts';
import {
  assertionMatches,
  assertionReplayed,
  readClientAssertion,
} from '../../tokens/verify/client-assertion.ts';
import type { TrustBundle } from '../../trust/trust-bundle.ts';
import type { AccessTokenIssuer } from '../sessions/access-token-issuer.ts';

export interface ServiceTokenInput {
  /** May be empty with an assertion, which names the account as well. */
  readonly clientId: string;
  /** Empty with an assertion. */
  readonly clientSecret: string;
  /** A JWT that one of the account's keys has signed (RFC 7523); empty with a secret. */
  readonly clientAssertion: string;
  /** Empty for the default audience. */
  readonly audience: string;
}

/** An access token without a refresh token: the service gets the next one with its secret or its key. */
export interface IssuedServiceToken {
  readonly accessToken: string;
  readonly expiresInSeconds: number;
}

export interface ServiceTokenDependencies {
  readonly database: Database;
  readonly digests: SecretDigests;
  readonly issuer: AccessTokenIssuer;
  readonly trust: Pick<TrustBundle, 'revoke'>;
  /** POSTERN_ISSUER, the audience of assertions. */
  readonly issuerName: string;
  readonly nowMs: () => number;
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
const MAX_LIVE_TOKENS = 10_000;

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
  const audience = issuer.audienceFor(input.audience);
  const { accountId, proof } = await checkProof(dependencies, input, call);
  const tokenId = createTokenId(randomBytes(16));
  const issue = {
    tokenId,
    accountId,
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
  if (recorded === 'not-valid') throw refused('kid' in proof ? 'unknown-key' : 'wrong-secret', accountId);
  if (recorded === 'replayed')
    throw new Rejected({
      kind: 'token-refused',
      refusal: assertionReplayed,
      subject: { target: { type: 'service', id: accountId } },
    });
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

/** @throws Rejected `invalid-credentials`, `token-refused`, `field-invalid`, `store-unavailable` */
async function checkProof(
  dependencies: ServiceTokenDependencies,
  input: ServiceTokenInput,
  call: OperationCall,
): Promise<{ readonly accountId: string; readonly proof: ServiceProof }> {
  const { clientId, clientSecret, clientAssertion } = input;
  if (clientAssertion === '')
    return { accountId: clientId, proof: { secretDigest: await checkSecret(dependencies, input, call) } };
  if (clientSecret !== '') {
    const description = 'must be empty when the call has a client_secret; send one of the two';
    throw new Rejected({
      kind: 'field-invalid',
      violations: [{ field: 'client_assertion', description }],
    });
  }
  return checkAssertion(dependencies, { clientId, clientAssertion }, call);
}

/**
 * Checks an assertion, apart from whether it was used before.
 *
 * @throws Rejected `invalid-credentials`, `token-refused`, `store-unavailable`
 */
async function checkAssertion(
  { database, digests, issuerName, nowMs }: ServiceTokenDependencies,
  { clientId, clientAssertion }: Pick<ServiceTokenInput, 'clientId' | 'clientAssertion'>,
  call: OperationCall,
): Promise<{ readonly accountId: string; readonly proof: ServiceProof }> {
  const expected = { issuer: issuerName, clientId };
  const assertion = readClientAssertion(clientAssertion, expected, nowMs() / 1000);
  if (!assertion.ok) throw new Rejected({ kind: 'token-refused', refusal: assertion.refusal });
  const { accountId, header, tokenId, expiresAtSeconds } = assertion;
  const stored = await database.run(call, (db) => findServiceKeys(db, { id: accountId }));
  if (stored === null) throw refused('unknown-service');
  // At most one key is tried. The kid may be absent only where there is no choice.
  const isSelected = ({ kid }: StoredServiceKey) =>
    header.kid === undefined ? stored.length === 1 : kid === header.kid;
  const selected = stored.find(isSelected);
  if (!selected) throw refused('unknown-key', accountId);
  const key = await checkServiceKey(digests, selected);
  if (!key) throw refused('forged-key', accountId);
  if (!(await assertionMatches(assertion, key))) throw refused('wrong-signature', accountId);
  const digest = assertionDigest(accountId, tokenId);
  const used = { purpose: 'client-assertion', digest, expiresAtSeconds } as const;
  return { accountId, proof: { kid: key.kid, assertion: used } };
}

/**
 * Checks id and secret.
 *
 * @returns the digest of the secret
 * @throws Rejected `invalid-credentials`, `store-unavailable`
 */
async function checkSecret(
  { database, digests }: Pick<ServiceTokenDependencies, 'database' | 'digests'>,
  { clientId: accountId, clientSecret }: ServiceTokenInput,
  call: OperationCall,
): Promise<Uint8Array> {
  if (!isUuid(accountId) || !isScannableSecret('psk_', clientSecret)) throw refused('malformed-secret');
  const secretDigest = digests.ofServiceSecret(clientSecret);
  const storedDigests = await database.run(call, (db) => findSecretDigests(db, accountId));
  if (storedDigests.length === 0) throw refused('unknown-service');
  if (!storedDigests.some((digest) => sameDigest(digest, secretDigest)))
    throw refused('wrong-secret', accountId);
  // Detects a digest that was copied into this row from another account.
  if (!digests.couldBeSecretOf(accountId, clientSecret)) throw refused('wrong-secret', accountId);
  return secretDigest;
}

function refused(
  cause: Extract<Rejection, { kind: 'invalid-credentials' }>['cause'],
  accountId?: string,
): Rejected {
  const subject = accountId === undefined ? {} : ({ target: { type: 'service', id: accountId } } as const);
  return new Rejected({ kind: 'invalid-credentials', cause, subject });
}
