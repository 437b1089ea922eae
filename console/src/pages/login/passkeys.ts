import type { PasskeyAssertion, PasskeyChallenge } from '../../../../src/generated/postern/v1/auth.ts';
import { post, Refusal } from '../../post.ts';
import type { Wire } from '../../wire.ts';
import { noPasskeysAt } from './login-rules.ts';

/** Whether the browser has passkeys, with its own functions for their JSON (WebAuthn Level 3). */
export function hasPasskeys(): boolean {
  return 'PublicKeyCredential' in globalThis && 'parseRequestOptionsFromJSON' in PublicKeyCredential;
}

/** Why there are no passkeys at the address of this page, or null. */
export function noPasskeysHere(): string | null {
  return noPasskeysAt(location);
}

/** Lets the browser answer a challenge of the service. @throws Refusal, also when the browser refuses */
export async function getPasskey(
  how: Omit<CredentialRequestOptions, 'publicKey'> = {},
): Promise<Required<Wire<PasskeyAssertion>>> {
  const { optionsJson = '', challengeToken = '' } = await beginPasskeyLogin();
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(
    JSON.parse(optionsJson) as PublicKeyCredentialRequestOptionsJSON,
  );
  const credential = await ofBrowser(() => navigator.credentials.get({ ...how, publicKey }));
  return { challengeToken, credentialJson: JSON.stringify(credential) };
}

function beginPasskeyLogin(): Promise<Wire<PasskeyChallenge>> {
  return post('postern.v1.AuthService/BeginPasskeyLogin', {}, null);
}

/** Lets the browser make a passkey. Returns it as JSON. @throws Refusal, also when the browser refuses */
export async function makePasskey(optionsJson: string): Promise<string> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(
    JSON.parse(optionsJson) as PublicKeyCredentialCreationOptionsJSON,
  );
  return JSON.stringify(await ofBrowser(() => navigator.credentials.create({ publicKey })));
}

/** Reason of a `Refusal` by the browser, when nobody has confirmed or the page has taken the request back. */
export const NOT_CONFIRMED = 'not-confirmed';

/** What a browser means by the name of its error (WebAuthn Level 3, sections 5.1.3 and 5.1.4). */
const BROWSER_REFUSALS: Readonly<Record<string, string>> = {
  InvalidStateError: 'This device has a passkey of yours already.',
  NotAllowedError: 'The passkey was not confirmed.',
  SecurityError:
    'The browser does not use passkeys at this address. It must be one of POSTERN_PASSKEY_ORIGINS, with https or as http://localhost.',
};

async function ofBrowser<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    const { name } = error;
    if (name === 'AbortError') throw new Refusal('', NOT_CONFIRMED);
    throw new Refusal(BROWSER_REFUSALS[name] ?? `The browser has refused the passkey: ${name}.`);
  }
}
