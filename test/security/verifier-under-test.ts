import { createPrivateKey, randomBytes, randomUUID, type KeyObject } from 'node:crypto';
import type { ClaimsPolicy } from '../../src/domain/claims/claims.ts';
import { RevocationSet } from '../../src/domain/revocation-set.ts';
import { Secret } from '../../src/domain/secret.ts';
import { createKeyRing, type KeyRing } from '../../src/tokens/verify/key-ring.ts';
import { createSharedSecretSigner, importSharedSecret } from '../../src/tokens/issue/shared-secret-key.ts';
import {
  createTokenId,
  signAccessToken,
  type AccessTokenContents,
} from '../../src/tokens/issue/sign-access-token.ts';
import type { Signer } from '../../src/tokens/issue/signer.ts';
import { generateSigningKey, importSigner, type SigningKeyPair } from '../../src/tokens/issue/signing-key.ts';
import { TokenVerifier, type TokenVerifierOptions } from '../../src/tokens/verify/token-verifier.ts';
import { importVerificationKey, type PublicJwk } from '../../src/tokens/verify/verification-key.ts';
import { secretKey, type TokenSetting, type TokenMode } from './forge.ts';

/** The modes in which every hostile token is tried. */
export const modesUnderTest: readonly {
  readonly name: string;
  readonly mode: TokenMode;
  readonly legacyHs256: boolean;
}[] = [
  { name: 'ES256', mode: 'ES256', legacyHs256: false },
  { name: 'RS256', mode: 'RS256', legacyHs256: false },
  { name: 'EdDSA', mode: 'EdDSA', legacyHs256: false },
  { name: 'HS256', mode: 'HS256', legacyHs256: false },
  { name: 'ES256 in legacy mode', mode: 'ES256', legacyHs256: true },
];

export const startSeconds = 1_800_000_000;
export const sharedSecret = new Secret('f1a4c59d0e7b4a2f9c3d8e6b5a7f0c1d2e3b4a596877f8e9d0c1b2a3f4e5d6c7');
export const legacySecret = new Secret('0b9d7f1e3c5a4826b8d0f2e4c6a1937555d3b1f9e7c5a38617294b6d8f0e2c4a');

const pairs = new Map<TokenMode, Promise<SigningKeyPair>>();

/** One key pair for each algorithm and test file; a new RSA pair for each test would take most of the time. */
function keyPair(mode: Exclude<TokenMode, 'HS256'>): Promise<SigningKeyPair> {
  const made = pairs.get(mode) ?? generateSigningKey(mode);
  pairs.set(mode, made);
  return made;
}

/** A verifier whose keys, clock and revocations are controlled by the test. */
export interface VerifierUnderTest {
  readonly mode: TokenMode;
  readonly verifier: TokenVerifier;
  readonly signer: Signer;
  readonly signingKey: KeyObject;
  readonly revocations: RevocationSet;
  readonly policy: ClaimsPolicy;
  readonly clock: { seconds: number };
  readonly keys: { ring: KeyRing };
  readonly issue: (changes?: Partial<AccessTokenContents>) => Promise<string>;
  /** The input of the hostile tokens; without the signing key for those of an outsider. */
  readonly setting: () => Promise<TokenSetting>;
}

export async function verifierUnderTest(
  mode: TokenMode,
  options: Partial<TokenVerifierOptions> = {},
): Promise<VerifierUnderTest> {
  const clock = { seconds: startSeconds };
  const revocations = new RevocationSet();
  const policy = {
    issuer: 'https://auth.example/realm',
    audiences: ['postern', 'billing'],
    maxLifetimeSeconds: 600,
    skewSeconds: 5,
  };
  const { signer, ring, signingKey, secret } = await keysOf(mode);
  const keys = { ring };
  const verifier = new TokenVerifier({
    trust: { keys: () => keys.ring, isRevoked: (claims) => revocations.covers(claims) },
    policy: () => policy,
    sharedSecret: secret,
    nowMs: () => clock.seconds * 1000,
    ...options,
  });
  const issue = (changes: Partial<AccessTokenContents> = {}) =>
    signAccessToken(signer, {
      issuer: policy.issuer,
      audience: 'postern',
      subject: randomUUID(),
      sessionId: randomUUID(),
      clientId: 'postern',
      externalId: null,
      roles: ['user'],
      tokenId: createTokenId(randomBytes(16)),
      issuedAtSeconds: clock.seconds,
      lifetimeSeconds: 600,
      ...changes,
    });
  const setting = async () => ({
    mode,
    validToken: await issue(),
    issuer: policy.issuer,
    audience: 'postern',
    maxLifetimeSeconds: policy.maxLifetimeSeconds,
    nowSeconds: clock.seconds,
    jwks: JSON.parse(ring.jwks.json) as { keys: PublicJwk[] },
    signingKey,
  });
  return { mode, verifier, signer, signingKey, revocations, policy, clock, keys, issue, setting };
}

async function keysOf(mode: TokenMode) {
  if (mode === 'HS256') {
    const secret = importSharedSecret(sharedSecret);
    const signer = createSharedSecretSigner(secret);
    return { signer, ring: createKeyRing([], signer), signingKey: secretKey(sharedSecret.utf8()), secret };
  }
  const pair = await keyPair(mode);
  const signer = await importSigner(pair);
  const ring = createKeyRing([await importVerificationKey(pair.publicJwk)], signer);
  const signingKey = createPrivateKey({ key: Buffer.from(pair.privatePkcs8), format: 'der', type: 'pkcs8' });
  return { signer, ring, signingKey, secret: null };
}
