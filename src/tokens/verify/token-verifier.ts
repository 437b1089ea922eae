import {
  audienceFault,
  checkClaims,
  expiryFault,
  identifyClaims,
  type ClaimsPolicy,
  type VerifiedClaims,
} from '../../domain/claims.ts';
import type { TokenRefusal } from '../../domain/rejection.ts';
import { MAX_TOKEN_BYTES } from './compact-jws.ts';
import { guardFormat, type UnverifiedToken } from './token-format.ts';
import type { KeyRing } from './key-ring.ts';
import { refusals } from './token-refusals.ts';
import { selectKey, type LegacyDoorKey, type SelectedKey } from './select-key.ts';
import type { RememberedToken, VerifiedTokenCache } from './verified-token-cache.ts';
import { signatureMatches, type SignatureKey } from './verify-signature.ts';

/** What a verifier trusts at this moment. Asked on every call, remembered token or not. */
export interface TrustView {
  keys(): KeyRing;
  /** Whether the session, the token or the key is revoked. */
  isRevoked(claims: VerifiedClaims): boolean;
  /** Another number whenever one of the two may answer otherwise. Without it both are asked for every call. */
  readonly revision?: number;
}

type Refused = { readonly ok: false; readonly refusal: TokenRefusal };

export type TokenVerdict = { readonly ok: true; readonly claims: VerifiedClaims } | Refused;

export interface TokenVerifierOptions {
  readonly trust: TrustView;
  /** Asked on every call. A remembered token is verified anew under another policy object, so return the same one while nothing changes. */
  readonly policy: () => ClaimsPolicy;
  /** HS256 mode: the only key, and no published one is looked at. */
  readonly sharedSecret?: SignatureKey | null;
  readonly legacyDoor?: LegacyDoorKey | null;
  readonly cache?: VerifiedTokenCache | null;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

/** How many tokens may be under verification and shared by their callers at once; one more is verified for its caller alone. */
const MAX_CONCURRENT = 4096;

/**
 * Verifies access tokens. The order of refusals: size, form, alg, kid, alg of the key, type, length of the signature,
 * signature, claims, expiry, not yet valid, revoked, and last the audience that the caller asked for. So an answer about claims is given only to whoever holds
 * a token that was really signed.
 */
export class TokenVerifier {
  readonly #trust: TrustView;
  readonly #policy: () => ClaimsPolicy;
  readonly #sharedSecret: SignatureKey | null;
  readonly #legacyDoor: LegacyDoorKey | null;
  readonly #cache: VerifiedTokenCache | null;
  readonly #nowMs: () => number;
  readonly #underWay = new Map<string, Promise<RememberedToken | TokenRefusal>>();

  constructor(options: TokenVerifierOptions) {
    this.#trust = options.trust;
    this.#policy = options.policy;
    this.#sharedSecret = options.sharedSecret ?? null;
    this.#legacyDoor = options.legacyDoor ?? null;
    this.#cache = options.cache ?? null;
    this.#nowMs = options.nowMs;
  }

  /**
   * The verdict on a token, at once when it is remembered or refused for its form or its header. Never throws for a bad
   * token. A token that many callers bring at the same time is verified once.
   *
   * @param requiredAudience one that the token must name, beside being for an accepted one
   */
  verify(token: string, requiredAudience?: string): TokenVerdict | Promise<TokenVerdict> {
    // Before any look-up: hashing a megabyte of text for a map is work, too (T02).
    if (token.length > MAX_TOKEN_BYTES) return refuse(refusals.tooLarge);
    const policy = this.#policy();
    const remembered = this.#cache?.get(token);
    if (remembered?.policy === policy) return this.#judge(remembered, requiredAudience);
    const underWay = this.#underWay.get(token);
    if (underWay !== undefined) return this.#conclude(underWay, requiredAudience);

    const read = this.#read(token);
    if (!read.ok) return read;
    return this.#conclude(
      this.#share(token, this.#verifyFresh(token, read.unverified, read.selected, policy)),
      requiredAudience,
    );
  }

  /**
   * Whose token this is, for those who end it: one that was really signed, whether or not it is accepted here, by this
   * clock, yet or still, or has been revoked.
   */
  async identify(token: string): Promise<TokenVerdict> {
    if (token.length > MAX_TOKEN_BYTES) return refuse(refusals.tooLarge);
    const read = this.#read(token);
    if (!read.ok) return read;
    const { key, profile, keyId } = read.selected;
    if (!(await signatureMatches(token, key))) return refuse(refusals.signatureInvalid);
    return identifyClaims(profile, read.unverified.claims, this.#policy(), keyId);
  }

  /** Everything before the signature. */
  #read(
    token: string,
  ): { readonly ok: true; readonly unverified: UnverifiedToken; readonly selected: SelectedKey } | Refused {
    const unverified = guardFormat(token);
    if (!unverified.ok) return unverified;
    const selected = selectKey(
      unverified,
      { ring: this.#trust.keys(), sharedSecret: this.#sharedSecret, legacyDoor: this.#legacyDoor },
      this.#nowMs(),
    );
    if (!selected.ok) return selected;
    if (unverified.signatureBytes !== selected.signatureBytes) return refuse(refusals.signatureLength);
    return { ok: true, unverified, selected };
  }

  async #verifyFresh(
    token: string,
    unverified: UnverifiedToken,
    selected: SelectedKey,
    policy: ClaimsPolicy,
  ): Promise<RememberedToken | TokenRefusal> {
    if (!(await signatureMatches(token, selected.key))) return refusals.signatureInvalid;
    const { profile, keyId, refusedFromMs } = selected;
    const verdict = checkClaims(profile, unverified.claims, policy, keyId, this.#nowMs() / 1000);
    if (!verdict.ok) return verdict.refusal;
    const remembered = { verdict: Object.freeze(verdict), policy, refusedFromMs, trustedAt: undefined };
    this.#cache?.set(token, remembered);
    return remembered;
  }

  #share(
    token: string,
    fresh: Promise<RememberedToken | TokenRefusal>,
  ): Promise<RememberedToken | TokenRefusal> {
    if (this.#underWay.size >= MAX_CONCURRENT) return fresh;
    const shared = fresh.finally(() => this.#underWay.delete(token));
    this.#underWay.set(token, shared);
    return shared;
  }

  async #conclude(
    fresh: Promise<RememberedToken | TokenRefusal>,
    requiredAudience: string | undefined,
  ): Promise<TokenVerdict> {
    const result = await fresh;
    return 'reason' in result ? refuse(result) : this.#judge(result, requiredAudience);
  }

  /** What can change after the first sight of a token: its key, the legacy door, the time, a revocation (T23, T24, K09). */
  #judge(remembered: RememberedToken, requiredAudience: string | undefined): TokenVerdict {
    const { verdict, policy, refusedFromMs } = remembered;
    const { claims } = verdict;
    const nowMs = this.#nowMs();
    // What was looked up at this revision of keys and revocations is the same still.
    const { revision } = this.#trust;
    const isTrusted = revision !== undefined && remembered.trustedAt === revision;
    const { keyId } = claims;
    const lost =
      (!isTrusted && keyId !== null && this.#trust.keys().find(keyId) === undefined && refusals.keyUnknown) ||
      (nowMs >= refusedFromMs && refusals.algNotAllowed) ||
      expiryFault(claims, policy.skewSeconds, nowMs / 1000) ||
      (!isTrusted && this.#trust.isRevoked(claims) && refusals.revoked);
    // It stays remembered: a revoked token that is tried over and over must not cost a signature each time.
    if (lost) return refuse(lost);
    remembered.trustedAt = revision;
    const elsewhere = audienceFault(claims, requiredAudience);
    return elsewhere === null ? verdict : refuse(elsewhere);
  }
}

function refuse(refusal: TokenRefusal): Refused {
  return { ok: false, refusal };
}
