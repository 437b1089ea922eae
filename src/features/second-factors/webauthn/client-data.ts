import { type JsonValue, parseStrictJson } from '../../../tokens/verify/strict-json.ts';
import type { WebauthnFault } from './webauthn-fault.ts';

/** What the answer of an authenticator is compared with. */
export interface Expectation {
  /** 32 bytes. */
  readonly challenge: Uint8Array;
  /** The web pages that may ask for passkeys, as browsers write origins. */
  readonly origins: readonly string[];
  readonly rpId: string;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * What is wrong with the client data, which the browser makes and the authenticator signs (WebAuthn Level 3, sections 5.8.1, 7.1
 * and 7.2). The origin is compared whole: it is what stops phishing. A page in a frame of another site is refused, so that a
 * site that embeds it cannot make people use their passkey unawares.
 */
export function clientDataFault(
  clientDataJson: Uint8Array,
  type: 'webauthn.create' | 'webauthn.get',
  { challenge, origins }: Pick<Expectation, 'challenge' | 'origins'>,
): WebauthnFault | null {
  const data = readObject(clientDataJson);
  if (data === null) return 'client-data-malformed';
  if (data['type'] !== type) return 'client-data-type';
  if (data['challenge'] !== Buffer.from(challenge).toString('base64url')) return 'challenge';
  const { origin, crossOrigin, topOrigin } = data;
  if (typeof origin !== 'string' || !origins.includes(origin)) return 'origin';
  if ((crossOrigin !== undefined && crossOrigin !== false) || topOrigin !== undefined) return 'cross-origin';
  return isTokenBindingUnused(data['tokenBinding']) ? null : 'client-data-malformed';
}

/** Level 3 has no token binding any more; browsers of Level 2 say that they support it. No browser uses it. */
function isTokenBindingUnused(tokenBinding: JsonValue | undefined): boolean {
  if (tokenBinding === undefined) return true;
  return typeof tokenBinding === 'object' && tokenBinding !== null && 'status' in tokenBinding
    ? tokenBinding.status === 'supported'
    : false;
}

function readObject(bytes: Uint8Array): ReturnType<typeof parseStrictJson> {
  try {
    return parseStrictJson(utf8.decode(bytes));
  } catch {
    // Not UTF-8.
    return null;
  }
}
