import type { OperationCall } from '../../domain/operation-call.ts';
import { useOnce } from '../used-once/used-once-queries.ts';
import {
  checkServiceProof,
  credentialRefused,
  type ProofDependencies,
  replayRefused,
  type ServiceCredentials,
} from './check-service-proof.ts';
import { isSecretOf } from './service-account-queries.ts';

/**
 * Authenticates a service account by its secret or an assertion, without issuing a token.
 *
 * @returns the id of the account
 * @throws Rejected `invalid-credentials`, `token-refused`, `field-invalid`, `store-unavailable`
 */
export async function authenticateService(
  dependencies: ProofDependencies,
  credentials: ServiceCredentials,
  call: OperationCall,
): Promise<string> {
  const { accountId, proof } = await checkServiceProof(dependencies, credentials, call);
  if ('kid' in proof) {
    const isFresh = await dependencies.database.run(call, (db) => useOnce(db, proof.assertion));
    if (!isFresh) throw replayRefused(accountId);
  } else {
    const { secretDigest } = proof;
    const isValid = await dependencies.database.run(call, (db) => isSecretOf(db, accountId, secretDigest));
    if (isValid === null) throw credentialRefused('unknown-service');
    if (!isValid) throw credentialRefused('wrong-secret', accountId);
  }
  return accountId;
}
