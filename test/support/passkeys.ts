import { status } from '@grpc/grpc-js';

import type { CredentialJson, Deviation, SoftwareAuthenticator } from './software-authenticator.ts';
import type { Message, Outcome } from './test-service.ts';

/** A server of the contract. */
interface Callee {
  call(method: string, request: Message, metadata?: Record<string, string>): Promise<Outcome>;
}

export const PASSKEY_ORIGIN = 'https://login.example.com';
/** Settings with which passkeys of `PASSKEY_ORIGIN` are used. */
export const passkeyEnvironment = {
  POSTERN_PASSKEY_ORIGINS: `https://www.example.com,${PASSKEY_ORIGIN}`,
  POSTERN_PASSKEY_RP_ID: 'example.com',
};

/** A challenge, as a browser gets it. */
export interface Challenge {
  readonly options: string;
  readonly token: string;
}

export function bearer(accessToken: string): Record<string, string> {
  return { authorization: `Bearer ${accessToken}` };
}

export async function beginRegistration(service: Callee, accessToken: string): Promise<Challenge> {
  const method = 'postern.v1.AuthService/BeginPasskeyRegistration';
  return challengeOf(await service.call(method, {}, bearer(accessToken)));
}

export async function beginLogin(service: Callee): Promise<Challenge> {
  return challengeOf(await service.call('postern.v1.AuthService/BeginPasskeyLogin', {}));
}

/** Answers a challenge of a registration. */
export function finishRegistration(
  service: Callee,
  accessToken: string,
  challenge: Challenge,
  credential: CredentialJson,
): Promise<Outcome> {
  const request = {
    challenge_token: challenge.token,
    credential_json: JSON.stringify(credential),
    name: 'phone',
  };
  return service.call('postern.v1.AuthService/FinishPasskeyRegistration', request, bearer(accessToken));
}

/** Registers an authenticator. @returns the access token of the raised session, and the factor's id */
export async function addPasskey(
  service: Callee,
  accessToken: string,
  authenticator: SoftwareAuthenticator,
): Promise<{ accessToken: string; factorId: string; recoveryCodes: string[] }> {
  const challenge = await beginRegistration(service, accessToken);
  const credential = authenticator.register(challenge.options);
  const { response, message } = await finishRegistration(service, accessToken, challenge, credential);
  if (!response) throw new Error(message);
  const tokens = response['tokens'] as Message;
  const factor = response['factor'] as Message;
  return {
    accessToken: String(tokens['access_token']),
    factorId: String(factor['id']),
    recoveryCodes: response['recovery_codes'] as string[],
  };
}

/** The answer of an authenticator to a challenge, for LoginWithPasskey, Login or StepUp. */
export function assertionOf(
  authenticator: SoftwareAuthenticator,
  challenge: Challenge,
  deviation?: Deviation,
): { challenge_token: string; credential_json: string } {
  const credential = authenticator.assert(challenge.options, deviation);
  return { challenge_token: challenge.token, credential_json: JSON.stringify(credential) };
}

/** Begins and finishes a login with a passkey alone. */
export async function loginWithPasskey(
  service: Callee,
  authenticator: SoftwareAuthenticator,
  deviation?: Deviation,
): Promise<Outcome> {
  const assertion = assertionOf(authenticator, await beginLogin(service), deviation);
  return service.call('postern.v1.AuthService/LoginWithPasskey', assertion);
}

/** The reason of a refusal; `OK` for none. */
export function reasonOf({ code, reason }: Outcome): string | undefined {
  return code === status.OK ? 'OK' : reason;
}

function challengeOf({ response, message }: Outcome): Challenge {
  if (!response) throw new Error(message);
  return { options: String(response['options_json']), token: String(response['challenge_token']) };
}
