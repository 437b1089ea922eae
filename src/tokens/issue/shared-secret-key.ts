import { createSecretKey } from 'node:crypto';
import { sharedSecretFault } from '../../crypto/secret-strength.ts';
import type { Secret } from '../../domain/secret.ts';
import { createSigner, type Signer } from './signer.ts';
import { KeyRefused } from '../verify/verification-key.ts';
import type { SignatureKey } from '../verify/verify-signature.ts';

/**
 * The HMAC key of a secret shared with other programs: the UTF-8 bytes of its text, never decoded, as `jsonwebtoken`
 * and `python-jose` take it. Throws `KeyRefused` for a secret that is short or known to everyone (K10).
 */
export function importSharedSecret(secret: Secret): SignatureKey {
  const fault = sharedSecretFault(secret.reveal());
  if (fault !== null) throw new KeyRefused(`the shared secret ${fault}`);
  return { algorithm: 'HS256', key: createSecretKey(secret.utf8()) };
}

/** Signs with the shared secret, `{"alg":"HS256","typ":"JWT"}`. */
export function createSharedSecretSigner(secret: SignatureKey): Signer {
  return createSigner({ algorithm: secret.algorithm, kid: null, key: secret.key });
}
