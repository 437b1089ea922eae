// Passkeys with the browser's own functions (WebAuthn Level 3): Postern's JSON in, the browser's JSON out.

export const canUsePasskeys = () => 'parseRequestOptionsFromJSON' in (globalThis.PublicKeyCredential ?? {});

/** @param how `mediation` and `signal` of `navigator.credentials.get` */
export async function getPasskey({ options, challengeToken }, how = {}) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const credential = await navigator.credentials.get({ publicKey, ...how });
  return { challengeToken, credential: credential.toJSON() };
}

export async function makePasskey({ options, challengeToken }) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const credential = await navigator.credentials.create({ publicKey });
  return { challengeToken, credential: credential.toJSON() };
}
