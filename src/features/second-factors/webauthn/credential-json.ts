import { isCanonicalBase64url } from '../../../tokens/verify/compact-jws.ts';
import { type JsonObject, type JsonValue, parseStrictJson } from '../../../tokens/verify/strict-json.ts';

/** More than any authenticator sends. */
export const MAX_CREDENTIAL_JSON_BYTES = 16_384;

/** The answer to a registration, `RegistrationResponseJSON` of WebAuthn Level 3, section 5.1. */
export interface RegistrationAnswer {
  readonly credentialId: Buffer;
  readonly clientDataJson: Buffer;
  readonly attestationObject: Buffer;
  /** How browsers reach the authenticator, such as `internal` or `usb`. */
  readonly transports: readonly string[];
}

/** The answer to a login, `AuthenticationResponseJSON`. */
export interface AssertionAnswer {
  readonly credentialId: Buffer;
  readonly clientDataJson: Buffer;
  readonly authenticatorData: Buffer;
  readonly signature: Buffer;
  /** What was registered as the user's id; null where the browser did not send it. */
  readonly userHandle: Buffer | null;
}

const MAX_TRANSPORTS = 8;

/** Reads the answer to a registration. Null unless it has its members, each binary one in canonical base64url. */
export function readRegistrationAnswer(json: string): RegistrationAnswer | null {
  const credential = readCredential(json);
  if (!credential) return null;
  const { credentialId, response } = credential;
  const clientDataJson = bytesOf(response['clientDataJSON']);
  const attestationObject = bytesOf(response['attestationObject']);
  if (!clientDataJson || !attestationObject) return null;
  return {
    credentialId,
    clientDataJson,
    attestationObject,
    transports: transportsOf(response['transports']),
  };
}

/** Reads the answer to a login, as `readRegistrationAnswer` does. */
export function readAssertionAnswer(json: string): AssertionAnswer | null {
  const credential = readCredential(json);
  if (!credential) return null;
  const { credentialId, response } = credential;
  const clientDataJson = bytesOf(response['clientDataJSON']);
  const authenticatorData = bytesOf(response['authenticatorData']);
  const signature = bytesOf(response['signature']);
  const handle = response['userHandle'] ?? null;
  const userHandle = handle === null ? null : bytesOf(handle);
  if (!clientDataJson || !authenticatorData || !signature || (handle !== null && !userHandle)) return null;
  return { credentialId, clientDataJson, authenticatorData, signature, userHandle };
}

function readCredential(json: string): { credentialId: Buffer; response: JsonObject } | null {
  if (json.length > MAX_CREDENTIAL_JSON_BYTES) return null;
  const credential = parseStrictJson(json);
  if (credential?.['type'] !== 'public-key' || credential['id'] !== credential['rawId']) return null;
  const credentialId = bytesOf(credential['rawId']);
  const { response } = credential;
  return credentialId && isObject(response) ? { credentialId, response } : null;
}

function bytesOf(value: JsonValue | undefined): Buffer | null {
  return typeof value === 'string' && isCanonicalBase64url(value) ? Buffer.from(value, 'base64url') : null;
}

/** Only a hint for browsers, so that what is not one is left out rather than refused. */
function transportsOf(value: JsonValue | undefined): string[] {
  if (!Array.isArray(value)) return [];
  const names = value.filter(
    (name): name is string => typeof name === 'string' && /^[a-z][a-z-]{0,31}$/.test(name),
  );
  return [...new Set(names)].slice(0, MAX_TRANSPORTS);
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
