import { isUuid } from '../../domain/validation.ts';
import type { OperationCall } from '../../domain/operation-call.ts';
import { Rejected, type Rejection } from '../../domain/rejection.ts';
import { isScannableSecret } from '../../crypto/api-secret.ts';
import type { SecretDigests } from '../../crypto/keyed-digests.ts';
import type { Database } from '../../database/database.ts';
import {
  assertionMatches,
  assertionReplayed,
  readClientAssertion,
} from '../../tokens/verify/client-assertion.ts';
import { assertionDigest, checkServiceKey, type StoredServiceKey } from './keys/service-key.ts';
import { findServiceKeys } from './keys/service-key-queries.ts';
import type { ServiceProof } from './service-token-queries.ts';

export interface ServiceCredentials {
  /** May be empty with an assertion, which names the account as well. */
  readonly clientId: string;
  /** Empty with an assertion. */
  readonly clientSecret: string;
  /** A JWT that one of the account's keys has signed (RFC 7523); empty with a secret. */
  readonly clientAssertion: string;
}

export interface ProofDependencies {
  readonly database: Database;
  readonly digests: SecretDigests;
  /** POSTERN_ISSUER, the audience of assertions. */
  readonly issuerName: string;
  readonly nowMs: () => number;
}

/**
 * Checks the credentials of a service account as far as no statement is needed that the caller makes anyway: it still has to
 * compare the digest of a secret with the stored one, and to look whether an assertion was used before.
 *
 * @throws Rejected `invalid-credentials`, `token-refused`, `field-invalid`, `store-unavailable`
 */
export async function checkServiceProof(
  dependencies: ProofDependencies,
  input: ServiceCredentials,
  call: OperationCall,
): Promise<{ readonly accountId: string; readonly proof: ServiceProof }> {
  const { clientId, clientSecret, clientAssertion } = input;
  if (clientAssertion === '')
    return { accountId: clientId, proof: { secretDigest: digestOfSecret(dependencies.digests, input) } };
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
  { database, digests, issuerName, nowMs }: ProofDependencies,
  { clientId, clientAssertion }: Pick<ServiceCredentials, 'clientId' | 'clientAssertion'>,
  call: OperationCall,
): Promise<{ readonly accountId: string; readonly proof: ServiceProof }> {
  const expected = { issuer: issuerName, clientId };
  const assertion = readClientAssertion(clientAssertion, expected, nowMs() / 1000);
  if (!assertion.ok) throw new Rejected({ kind: 'token-refused', refusal: assertion.refusal });
  const { accountId, header, tokenId, expiresAtSeconds } = assertion;
  const stored = await database.run(call, (db) => findServiceKeys(db, { id: accountId }));
  if (stored === null) throw credentialRefused('unknown-service');
  // At most one key is tried. The kid may be absent only where there is no choice.
  const isSelected = ({ kid }: StoredServiceKey) =>
    header.kid === undefined ? stored.length === 1 : kid === header.kid;
  const selected = stored.find(isSelected);
  if (!selected) throw credentialRefused('unknown-key', accountId);
  const key = await checkServiceKey(digests, selected);
  if (!key) throw credentialRefused('forged-key', accountId);
  if (!(await assertionMatches(assertion, key))) throw credentialRefused('wrong-signature', accountId);
  const digest = assertionDigest(accountId, tokenId);
  const used = { purpose: 'client-assertion', digest, expiresAtSeconds } as const;
  return { accountId, proof: { kid: key.kid, assertion: used } };
}

/** Checks the form of a secret. @throws Rejected `invalid-credentials` */
function digestOfSecret(
  digests: SecretDigests,
  { clientId: accountId, clientSecret }: ServiceCredentials,
): Uint8Array | null {
  if (!isUuid(accountId) || !isScannableSecret('psk_', clientSecret))
    throw credentialRefused('malformed-secret');
  // Detects a digest that was copied into this row from another account.
  return digests.couldBeSecretOf(accountId, clientSecret) ? digests.ofServiceSecret(clientSecret) : null;
}

export function credentialRefused(
  cause: Extract<Rejection, { kind: 'invalid-credentials' }>['cause'],
  accountId?: string,
): Rejected {
  const subject = accountId === undefined ? {} : ({ target: { type: 'service', id: accountId } } as const);
  return new Rejected({ kind: 'invalid-credentials', cause, subject });
}

/** The refusal of an assertion that was used before. */
export function replayRefused(accountId: string): Rejected {
  const subject = { target: { type: 'service', id: accountId } } as const;
  return new Rejected({ kind: 'token-refused', refusal: assertionReplayed, subject });
}
