/** An API key as it arrives with a call. */
export interface PresentedApiKey {
  readonly key: string;
  /** From where it is used; null when that is not known, so that a key with networks is refused. */
  readonly address: string | null;
  /** Undefined to accept every configured audience. */
  readonly requiredAudience: string | undefined;
}

/** The one answer to a key that is unknown, revoked, expired, or used from a network that it does not allow. */
export const API_KEY_INVALID = 'the API key is not valid, or not from this network; use another one';

/** Whether a credential is an API key, valid or not. No access token begins like this. */
export function looksLikeApiKey(text: string): boolean {
  return text.startsWith('pak_');
}
