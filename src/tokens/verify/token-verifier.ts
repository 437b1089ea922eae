import {
  audienceFault,
  checkClaims,
  expiryFault,
  identifyClaims,
  type ClaimsPolicy,
  type VerifiedClaims,
} from '../../domain/claims/claims.ts';
import type { TokenRefusal } from '../../domain/rejection.ts';
import { MAX_TOKEN_BYTES } from './compact-jws.ts';
import { checkFormat, type UnverifiedToken } from './token-format.ts';
import type { KeyRing } from './key-ring.ts';
import { refusals } from './token-refusals.ts';
import { selectKey, type LegacyHs256Key, type SelectedKey } from './select-key.ts';
import type { CachedToken, VerifiedTokenCache } from './verified-token-cache.ts';
import { signatureMatches, type SignatureKey } from './verify-signature.ts';

/** The current keys and revocations. The verifier reads them on every call, also for a cached token. */
export interface TrustView {
  keys(): KeyRing;
  /** Whether the session, the token or the key is revoked. */
  isRevoked(claims: VerifiedClaims): boolean;
  /** Changes whenever the result of `keys` or `isRevoked` may change. Without it, both are called for every token. */
  readonly revision?: number;
}

type Refused = { readonly ok: false; readonly refusal: TokenRefusal };

export type TokenVerdict = { readonly ok: true; readonly claims: VerifiedClaims } | Refused;

export interface TokenVerifierOptions {
  readonly trust: TrustView;
  /** Called for every token. Return the same object while nothing changes: a new object invalidates cached tokens. */
  readonly policy: () => ClaimsPolicy;
  /** Key of HS256 mode. When it is set, published keys are not used. */
  readonly sharedSecret?: SignatureKey | null;
  /** Not together with `sharedSecret`: an HS256 token would fit both. `policy` has the rules for its claims. */
  readonly legacyHs256?: LegacyHs256Key | null;
  readonly cache?: VerifiedTokenCache | null;
  /** Unix time, ms. */
  readonly nowMs: () => number;
}

/** Maximum number of verifications that callers can share. Beyond it, each call verifies its token separately. */
const MAX_SHARED = 4096;

/**
 * Verifies access tokens. The order of the checks: size, format, alg, kid, alg of the key, typ, length of the signature,
 * signature, claims, expiry, not yet valid, revocation, and last the audience that the caller requires. So a refusal
 * reveals something about claims only for a token with a valid signature.
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
    if (this.#sharedSecret !== null && this.#legacyHs256 !== null)
      throw new Error('a verifier has either a shared secret or a legacy HS256 key');
    this.#cache = options.cache ?? null;
    this.#nowMs = options.nowMs;
  }

  /**
   * Verifies a token. The verdict is synchronous when the token is cached, or refused for its format or header. Never
   * throws for an invalid token. Concurrent calls with the same token share one verification.
   *
   * @param requiredAudience an audience that the token must name, in addition to one that the policy accepts
   */
  verify(token: string, requiredAudience?: string): TokenVerdict | Promise<TokenVerdict> {
    // Check this before any look-up: hashing a megabyte of text for a map takes time too (T02).
    if (token.length > MAX_TOKEN_BYTES) return refuse(refusals.tooLarge);
    const policy = this.#policy();
    const cached = this.#cache?.get(token);
    if (cached?.policy === policy) return this.#evaluate(cached, requiredAudience);
    const inFlight = this.#inFlight.get(token);
    if (inFlight !== undefined) return this.#awaitVerdict(inFlight, requiredAudience);

    const parsed = this.#parse(token);
    if (!parsed.ok) return parsed;
    return this.#awaitVerdict(
      this.#shareInFlight(token, this.#verifyFresh(token, parsed.unverified, parsed.selected)),
      requiredAudience,
    );
  }

  /**
   * Reads the claims of a token with a valid signature, to revoke it. Also identifies a token that `verify` refuses
   * because it has expired, is not yet valid, is revoked, or is meant for an instance with other settings
   * (`identifyClaims` has the list).
   */
  async identify(token: string): Promise<TokenVerdict> {
    if (token.length > MAX_TOKEN_BYTES) return refuse(refusals.tooLarge);
    const parsed = this.#parse(token);
    if (!parsed.ok) return parsed;
    const { key, profile, keyId } = parsed.selected;
    if (!(await signatureMatches(token, key))) return refuse(refusals.signatureInvalid);
    return identifyClaims(profile, parsed.unverified.claims, this.#policy(), keyId);
  }

  /** All checks before the signature. */
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
  ): Promise<CachedToken | TokenRefusal> {
    if (!(await signatureMatches(token, selected.key))) return refusals.signatureInvalid;
    const { profile, keyId, refusedFromMs } = selected;
    // Not that of the first caller: another may join after the policy has changed.
    const policy = this.#policy();
    const verdict = checkClaims(profile, unverified.claims, policy, keyId, this.#nowMs() / 1000);
    if (!verdict.ok) return verdict.refusal;
    const cached = { verdict: Object.freeze(verdict), policy, refusedFromMs, trustedRevision: undefined };
    this.#cache?.set(token, cached);
    return cached;
  }

  #shareInFlight(
    token: string,
    fresh: Promise<CachedToken | TokenRefusal>,
  ): Promise<CachedToken | TokenRefusal> {
    if (this.#inFlight.size >= MAX_SHARED) return fresh;
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

  /** Checks what can change after the first verification: keys, the legacy deadline, expiry, revocation (T23, T24, K09). */
  #evaluate(cached: CachedToken, requiredAudience: string | undefined): TokenVerdict {
    const { revision } = this.#trust;
    const refusal = this.#currentRefusal(cached, revision);
    // The token stays cached: repeated calls with a revoked token must not cost a signature check each time.
    if (refusal !== null) return refuse(refusal);
    cached.trustedRevision = revision;
    const audienceRefusal = audienceFault(cached.verdict.claims, requiredAudience);
    return audienceRefusal === null ? cached.verdict : refuse(audienceRefusal);
  }

  #currentRefusal(cached: CachedToken, revision: number | undefined): TokenRefusal | null {
    const { verdict, policy, refusedFromMs } = cached;
    const { claims } = verdict;
    const { keyId } = claims;
    const nowMs = this.#nowMs();
    // Under the same revision, key and revocation were checked already and have not changed.
    const isTrusted = revision !== undefined && cached.trustedRevision === revision;
    if (!isTrusted && keyId !== null && this.#trust.keys().find(keyId) === undefined)
      return refusals.keyUnknown;
    if (nowMs >= refusedFromMs) return refusals.legacyEnded;
    const expiryRefusal = expiryFault(claims, policy.skewSeconds, nowMs / 1000);
    if (expiryRefusal !== null) return expiryRefusal;
    return !isTrusted && this.#trust.isRevoked(claims) ? refusals.revoked : null;
  }
}

function refuse(refusal: TokenRefusal): Refused {
  return { ok: false, refusal };
}
