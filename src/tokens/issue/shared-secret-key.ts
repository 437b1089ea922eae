import { createSecretKey } from 'node:crypto';
import { sharedSecretFault } from '../../crypto/secret-strength.ts';
import type { Secret } from '../../domain/secret.ts';
import { createSigner, type Signer } from './signer.ts';
import { KeyRefused } from '../verify/verification-key.ts';
import type { SignatureKey } from '../verify/verify-signature.ts';

/**
 * Makes the HS256 key of a secret that is shared with other programs. The key is the UTF-8 bytes of the text, without
 * decoding, as in `jsonwebtoken` and `python-jose`. Throws `KeyRefused` for a short or well-known secret (K10).
 */
export function importSharedSecret(secret: Secret): SignatureKey {
  const fault = sharedSecretFault(secret.reveal());
  if (fault !== null) throw new KeyRefused(`the shared secret ${fault}`);
  return { algorithm: 'HS256', key: createSecretKey(secret.utf8()) };
}

/** Creates a signer for the shared secret. The token header is `{"alg":"HS256","typ":"JWT"}`. */
export function createSharedSecretSigner(secret: SignatureKey): Signer {
  return createSigner({ algorithm: secret.algorithm, kid: null, key: secret.key });
}
