import { generateKeyPairSync, randomBytes } from 'node:crypto';

import type { PasskeySettings, RelyingParty } from '../../../domain/relying-party.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { bytesOfUuid } from '../../../domain/uuid.ts';
import {
  CHALLENGE_SECONDS,
  type ChallengeUse,
  type OpenChallenge,
  PasskeyChallenges,
} from './passkey-challenges.ts';
import { PasskeyMacs, type PasskeyRow } from './passkey-macs.ts';
import type { Expectation } from '../webauthn/client-data.ts';
import { coseAlgorithms, coseKeyOfPoint } from '../webauthn/cose-key.ts';
import type { RegisteredCredential } from '../webauthn/verify-assertion.ts';

/** What a browser needs to make or to use a passkey. */
export interface BegunPasskey {
  /** For `parseCreationOptionsFromJSON` or `parseRequestOptionsFromJSON` (WebAuthn Level 3, section 5.1). */
  readonly optionsJson: string;
  readonly challengeToken: string;
  readonly expiresAt: Date;
}

/** The challenges, the site and the stored rows of passkeys. */
export class Passkeys {
  readonly macs: PasskeyMacs;
  readonly #settings: PasskeySettings;
  readonly #challenges: PasskeyChallenges;
  #decoy: RegisteredCredential | null = null;

  /**
   * @param deriveKey the key of a purpose, 32 bytes, the same in every instance; its errors propagate to the caller
   * @param nowMs Unix time, ms
   */
  constructor(settings: PasskeySettings, deriveKey: (purpose: string) => Uint8Array, nowMs: () => number) {
    this.#settings = settings;
    this.#challenges = new PasskeyChallenges(() => deriveKey('passkey challenge'), nowMs);
    this.macs = new PasskeyMacs(() => deriveKey('factor'));
  }

  /** @throws Rejected `passkeys-disabled` where no origin is configured */
  relyingParty(): RelyingParty {
    if ('disabledBecause' in this.#settings)
      throw new Rejected({ kind: 'passkeys-disabled', detail: this.#settings.disabledBecause });
    return this.#settings;
  }

  /**
   * The passkey is discoverable, so that it can be used without an e-mail, and its user is verified at each use.
   *
   * @param user.credentials the user's passkeys, of which the authenticator makes no second one
   * @throws Rejected `passkeys-disabled`
   */
  beginRegistration(user: {
    readonly id: string;
    readonly email: string;
    readonly credentials: readonly { readonly id: Uint8Array; readonly transports: readonly string[] }[];
  }): BegunPasskey {
    const { rpId } = this.relyingParty();
    return this.#begin({ purpose: 'registration', userId: user.id }, (challenge) => ({
      rp: { id: rpId, name: rpId },
      user: { id: base64url(bytesOfUuid(user.id)), name: user.email, displayName: user.email },
      challenge,
      pubKeyCredParams: Object.values(coseAlgorithms).map((alg) => ({ type: 'public-key', alg })),
      timeout: CHALLENGE_SECONDS * 1000,
      excludeCredentials: user.credentials.map(({ id, transports }) => ({
        type: 'public-key',
        id: base64url(id),
        transports,
      })),
      authenticatorSelection: {
        residentKey: 'required',
        requireResidentKey: true,
        userVerification: 'required',
      },
      attestation: 'none',
    }));
  }

  /** @throws Rejected `passkeys-disabled` */
  beginLogin(): BegunPasskey {
    const { rpId } = this.relyingParty();
    return this.#begin({ purpose: 'login', userId: null }, (challenge) => ({
      challenge,
      timeout: CHALLENGE_SECONDS * 1000,
      rpId,
      allowCredentials: [],
      userVerification: 'required',
    }));
  }

  /** @throws Rejected `passkeys-disabled` */
  openChallenge(
    token: string,
    use: ChallengeUse,
  ): (OpenChallenge & { readonly expectation: Expectation }) | 'unknown' | 'expired' {
    const { origins, rpId } = this.relyingParty();
    const opened = this.#challenges.open(token, use);
    if (typeof opened === 'string') return opened;
    return { ...opened, expectation: { challenge: opened.challenge, origins, rpId } };
  }

  /**
   * The credential to compare with: that of the row, if its MAC is right, or one of nobody. With either, a signature is verified,
   * so that the time does not tell whether a credential exists.
   */
  credentialOf(
    row: (PasskeyRow & { readonly mac: Uint8Array; readonly signCount: number }) | null,
  ): RegisteredCredential & { readonly isKnown: boolean } {
    this.#decoy ??= makeDecoy();
    const isKnown = row !== null && this.macs.isRight(row);
    if (!isKnown) return { ...this.#decoy, isKnown };
    const { coseKey, signCount, backupEligible, userId } = row;
    return { coseKey, signCount, backupEligible, userHandle: bytesOfUuid(userId), isKnown };
  }

  #begin(use: ChallengeUse, optionsOf: (challenge: string) => object): BegunPasskey {
    const { challenge, token, expiresAt } = this.#challenges.issue(use);
    return { optionsJson: JSON.stringify(optionsOf(challenge)), challengeToken: token, expiresAt };
  }
}

/** Of the algorithm that most authenticators use. */
function makeDecoy(): RegisteredCredential {
  const { x = '', y = '' } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    format: 'jwk',
  });
  const coseKey = coseKeyOfPoint(Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url'));
  return { coseKey, signCount: 0, backupEligible: false, userHandle: randomBytes(16) };
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
