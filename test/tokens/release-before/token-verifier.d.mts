export { createKeyRing } from '../../../src/tokens/verify/key-ring.ts';
export { TokenVerifier } from '../../../src/tokens/verify/token-verifier.ts';
export { importVerificationKey } from '../../../src/tokens/verify/verification-key.ts';
