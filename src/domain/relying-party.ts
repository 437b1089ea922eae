/** The site that passkeys belong to (WebAuthn Level 3, section 4). */
export interface RelyingParty {
  /** A domain: passkeys made for it can be used on the pages of its origins only. */
  readonly rpId: string;
  /** The web pages that may ask for passkeys, as browsers write origins. */
  readonly origins: readonly string[];
}

/** The relying party, or why there is none and what to do, in one line. */
export type PasskeySettings = RelyingParty | { readonly disabledBecause: string };
