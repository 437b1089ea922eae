import { createHash } from 'node:crypto';

import { authenticatorDataFault, readAuthenticatorData } from './authenticator-data.ts';
import { clientDataFault, type Expectation } from './client-data.ts';
import { readCoseKey, verifyCredentialSignature } from './cose-key.ts';
import type { AssertionAnswer } from './credential-json.ts';
import type { WebauthnFault } from './webauthn-fault.ts';

/** A registered credential, as far as an answer is compared with it. */
export interface RegisteredCredential {
  /** The public key, CBOR. */
  readonly coseKey: Uint8Array;
  readonly signCount: number;
  readonly backupEligible: boolean;
  /** The bytes that were registered as the user's id. */
  readonly userHandle: Uint8Array;
}

type Verdict =
  | { readonly ok: true; readonly signCount: number; readonly backedUp: boolean }
  | { readonly ok: false; readonly fault: WebauthnFault };

/**
 * Verifies the answer to a login with a discoverable credential (WebAuthn Level 3, section 7.2). What depends on the credential
 * is compared after the signature: answers without the key take the same time for every credential.
 *
 * The counter is no protection against replay, since synced passkeys keep it at 0: the caller accepts a challenge once.
 */
export function verifyAssertion(
  answer: AssertionAnswer,
  expectation: Expectation,
  credential: RegisteredCredential,
): Verdict {
  const clientFault = clientDataFault(answer.clientDataJson, 'webauthn.get', expectation);
  if (clientFault !== null) return refuse(clientFault);
  const data = readAuthenticatorData(answer.authenticatorData);
  if (!data || data.attested) return refuse('authenticator-data-malformed');
  const dataFault = authenticatorDataFault(data, expectation.rpId);
  if (dataFault !== null) return refuse(dataFault);
  const key = readCoseKey(credential.coseKey);
  if (!key) return refuse('key');
  const clientDataHash = createHash('sha256').update(answer.clientDataJson).digest();
  const signed = Buffer.concat([answer.authenticatorData, clientDataHash]);
  if (!verifyCredentialSignature(key, signed, answer.signature)) return refuse('signature');
  if (!answer.userHandle?.equals(credential.userHandle)) return refuse('user-handle');
  if (data.backupEligible !== credential.backupEligible) return refuse('backup-flags');
  if (!isCounterAccepted(credential.signCount, data.signCount)) return refuse('counter');
  return { ok: true, signCount: data.signCount, backedUp: data.backedUp };
}

/** A counter that does not grow shows a copy of the authenticator, unless the authenticator does not count. */
export function isCounterAccepted(before: number, now: number): boolean {
  return now > before || (now === 0 && before === 0);
}

function refuse(fault: WebauthnFault): Verdict {
  return { ok: false, fault };
}
