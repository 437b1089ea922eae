import { createHash } from 'node:crypto';

import { authenticatorDataFault, readAuthenticatorData } from './authenticator-data.ts';
import { type CborMap, decodeCbor } from './cbor.ts';
import { clientDataFault, type Expectation } from './client-data.ts';
import { type CredentialKey, readCoseKey, verifyCredentialSignature } from './cose-key.ts';
import type { RegistrationAnswer } from './credential-json.ts';
import type { WebauthnFault } from './webauthn-fault.ts';

/** A credential that an authenticator has made. */
export interface NewCredential {
  readonly credentialId: Uint8Array;
  /** The public key, CBOR. */
  readonly coseKey: Uint8Array;
  readonly signCount: number;
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
}

type Verdict =
  | { readonly ok: true; readonly credential: NewCredential }
  | { readonly ok: false; readonly fault: WebauthnFault };

/**
 * Verifies the answer to a registration (WebAuthn Level 3, section 7.1). No attestation is asked for, so `none` is the ordinary
 * case; browsers may pass on `packed` self-attestation of an authenticator without an AAGUID as well (section 5.1.3). Every
 * other format is refused: Postern trusts no makers of authenticators.
 */
export function verifyRegistration(answer: RegistrationAnswer, expectation: Expectation): Verdict {
  const clientFault = clientDataFault(answer.clientDataJson, 'webauthn.create', expectation);
  if (clientFault !== null) return refuse(clientFault);
  const attestation = readAttestationObject(answer.attestationObject);
  if (!attestation) return refuse('attestation-malformed');
  const data = readAuthenticatorData(attestation.authData);
  if (!data) return refuse('authenticator-data-malformed');
  const dataFault = authenticatorDataFault(data, expectation.rpId);
  if (dataFault !== null) return refuse(dataFault);
  if (!data.attested) return refuse('attestation-malformed');
  const { aaguid, credentialId, coseKey } = data.attested;
  if (!answer.credentialId.equals(credentialId)) return refuse('credential-id');
  const key = readCoseKey(coseKey);
  if (!key) return refuse('key');
  const signed = { authData: attestation.authData, clientDataJson: answer.clientDataJson };
  const fault = statementFault(attestation, key, aaguid, signed);
  if (fault !== null) return refuse(fault);
  const { signCount, backupEligible, backedUp } = data;
  return { ok: true, credential: { credentialId, coseKey, signCount, backupEligible, backedUp } };
}

interface Attestation {
  readonly format: string;
  readonly statement: CborMap;
  readonly authData: Uint8Array;
}

/** Exactly the three members of section 6.5.4, and no bytes after them. */
function readAttestationObject(bytes: Uint8Array): Attestation | null {
  const decoded = decodeCbor(bytes);
  if (decoded?.end !== bytes.length || !(decoded.value instanceof Map) || decoded.value.size !== 3)
    return null;
  const members: CborMap = decoded.value;
  const [format, statement, authData] = [members.get('fmt'), members.get('attStmt'), members.get('authData')];
  if (typeof format !== 'string' || !(statement instanceof Map) || !(authData instanceof Uint8Array))
    return null;
  return { format, statement, authData };
}

/** Sections 8.7 (`none`) and 8.2 (`packed`, self-attestation). */
function statementFault(
  { format, statement }: Attestation,
  key: CredentialKey,
  aaguid: Uint8Array,
  signed: { readonly authData: Uint8Array; readonly clientDataJson: Uint8Array },
): WebauthnFault | null {
  if (format === 'none') return statement.size === 0 ? null : 'attestation-malformed';
  if (format !== 'packed' || statement.has('x5c') || aaguid.some((byte) => byte !== 0))
    return 'attestation-format';
  const signature = statement.get('sig');
  if (statement.size !== 2 || statement.get('alg') !== key.algorithm || !(signature instanceof Uint8Array))
    return 'attestation-malformed';
  const clientDataHash = createHash('sha256').update(signed.clientDataJson).digest();
  const isSigned = verifyCredentialSignature(
    key,
    Buffer.concat([signed.authData, clientDataHash]),
    signature,
  );
  return isSigned ? null : 'attestation-signature';
}

function refuse(fault: WebauthnFault): Verdict {
  return { ok: false, fault };
}
