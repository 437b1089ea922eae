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
import { checkFormat, type UnverifiedToken } from './token-format.ts';
import type { KeyRing } from './key-ring.ts';
import { refusals } from './token-refusals.ts';
import { selectKey, type LegacyHs256Key, type SelectedKey } from './select-key.ts';
import type { CachedToken, VerifiedTokenCache } from './verified-token-cache.ts';
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
  readonly legacyHs256?: LegacyHs256Key | null;
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
  readonly #legacyHs256: LegacyHs256Key | null;
  readonly #cache: VerifiedTokenCache | null;
  readonly #nowMs: () => number;
  readonly #inFlight = new Map<string, Promise<CachedToken | TokenRefusal>>();

  constructor(options: TokenVerifierOptions) {
    this.#trust = options.trust;
    this.#policy = options.policy;
    this.#sharedSecret = options.sharedSecret ?? null;
    this.#legacyHs256 = options.legacyHs256 ?? null;
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
    const cached = this.#cache?.get(token);
    if (cached?.policy === policy) return this.#evaluate(cached, requiredAudience);
    const inFlight = this.#inFlight.get(token);
    if (inFlight !== undefined) return this.#awaitVerdict(inFlight, requiredAudience);

    const parsed = this.#parse(token);
    if (!parsed.ok) return parsed;
    return this.#awaitVerdict(
      this.#shareInFlight(token, this.#verifyFresh(token, parsed.unverified, parsed.selected, policy)),
      requiredAudience,
    );
  }

  /**
   * Whose token this is, for those who end it: one that was really signed, whether or not it is accepted here, by this
   * clock, yet or still, or has been revoked.
   */
  async identify(token: string): Promise<TokenVerdict> {
    if (token.length > MAX_TOKEN_BYTES) return refuse(refusals.tooLarge);
    const parsed = this.#parse(token);
    if (!parsed.ok) return parsed;
    const { key, profile, keyId } = parsed.selected;
    if (!(await signatureMatches(token, key))) return refuse(refusals.signatureInvalid);
    return identifyClaims(profile, parsed.unverified.claims, this.#policy(), keyId);
  }

  /** Everything before the signature. */
  #parse(
    token: string,
  ): { readonly ok: true; readonly unverified: UnverifiedToken; readonly selected: SelectedKey } | Refused {
    const unverified = checkFormat(token);
    if (!unverified.ok) return unverified;
    const selected = selectKey(
      unverified,
      { ring: this.#trust.keys(), sharedSecret: this.#sharedSecret, legacyHs256: this.#legacyHs256 },
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
  ): Promise<CachedToken | TokenRefusal> {
    if (!(await signatureMatches(token, selected.key))) return refusals.signatureInvalid;
    const { profile, keyId, refusedFromMs } = selected;
    const verdict = checkClaims(profile, unverified.claims, policy, keyId, this.#nowMs() / 1000);
    if (!verdict.ok) return verdict.refusal;
    const cached = { verdict: Object.freeze(verdict), policy, refusedFromMs, trustedAt: undefined };
    this.#cache?.set(token, cached);
    return cached;
  }

  #shareInFlight(
    token: string,
    fresh: Promise<CachedToken | TokenRefusal>,
  ): Promise<CachedToken | TokenRefusal> {
    if (this.#inFlight.size >= MAX_CONCURRENT) return fresh;
    const shared = fresh.finally(() => this.#inFlight.delete(token));
    this.#inFlight.set(token, shared);
    return shared;
  }

  async #awaitVerdict(
    fresh: Promise<CachedToken | TokenRefusal>,
    requiredAudience: string | undefined,
  ): Promise<TokenVerdict> {
    const result = await fresh;
    return 'reason' in result ? refuse(result) : this.#evaluate(result, requiredAudience);
  }

  /** What can change after the first sight of a token: its key, the legacy door, the time, a revocation (T23, T24, K09). */
  #evaluate(cached: CachedToken, requiredAudience: string | undefined): TokenVerdict {
    const { verdict, policy, refusedFromMs } = cached;
    const { claims } = verdict;
    const nowMs = this.#nowMs();
    // What was looked up at this revision of keys and revocations is the same still.
    const { revision } = this.#trust;
    const isTrusted = revision !== undefined && cached.trustedAt === revision;
    const { keyId } = claims;
    const failure =
      (!isTrusted && keyId !== null && this.#trust.keys().find(keyId) === undefined && refusals.keyUnknown) ||
      (nowMs >= refusedFromMs && refusals.algNotAllowed) ||
      expiryFault(claims, policy.skewSeconds, nowMs / 1000) ||
      (!isTrusted && this.#trust.isRevoked(claims) && refusals.revoked);
    // It stays remembered: a revoked token that is tried over and over must not cost a signature each time.
    if (failure) return refuse(failure);
    cached.trustedAt = revision;
    const audienceRefusal = audienceFault(claims, requiredAudience);
    return audienceRefusal === null ? verdict : refuse(audienceRefusal);
  }
}

function refuse(refusal: TokenRefusal): Refused {
  return { ok: false, refusal };
}
