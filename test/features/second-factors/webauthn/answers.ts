import { randomBytes } from 'node:crypto';

import { bytesOfUuid } from '../../../../src/domain/uuid.ts';
import type { Expectation } from '../../../../src/features/second-factors/webauthn/client-data.ts';
import {
  readAssertionAnswer,
  readRegistrationAnswer,
} from '../../../../src/features/second-factors/webauthn/credential-json.ts';
import { verifyAssertion } from '../../../../src/features/second-factors/webauthn/verify-assertion.ts';
import { verifyRegistration } from '../../../../src/features/second-factors/webauthn/verify-registration.ts';
import type { Deviation, SoftwareAuthenticator } from '../../../support/software-authenticator.ts';

export const ORIGIN = 'https://login.example.com';
export const RP_ID = 'example.com';
export const USER_HANDLE = bytesOfUuid('0190c0de-0000-7000-8000-000000000001');

export const expectation: Expectation = {
  challenge: randomBytes(32),
  origins: ['https://www.example.com', ORIGIN],
  rpId: RP_ID,
};
const challenge = Buffer.from(expectation.challenge).toString('base64url');

export const creationOptions = JSON.stringify({
  challenge,
  rp: { id: RP_ID },
  user: { id: USER_HANDLE.toString('base64url') },
});
export const requestOptions = JSON.stringify({ challenge, rpId: RP_ID });

/** The verdict about a registration; a fault's name, or the credential. */
export function judgeRegistration(json: string) {
  const answer = readRegistrationAnswer(json);
  if (!answer) return 'malformed';
  const verdict = verifyRegistration(answer, expectation);
  return verdict.ok ? verdict.credential : verdict.fault;
}

/** The verdict about a login with the authenticator's passkey. */
export function judgeAssertion(
  authenticator: SoftwareAuthenticator,
  json: string,
  { signCount = 0, coseKey = authenticator.coseKey }: { signCount?: number; coseKey?: Buffer } = {},
) {
  const answer = readAssertionAnswer(json);
  if (!answer) return 'malformed';
  const credential = { coseKey, signCount, backupEligible: authenticator.isSynced, userHandle: USER_HANDLE };
  const verdict = verifyAssertion(answer, expectation, credential);
  return verdict.ok ? 'accepted' : verdict.fault;
}

export function registration(authenticator: SoftwareAuthenticator, deviation?: Deviation): string {
  return JSON.stringify(authenticator.register(creationOptions, deviation));
}

export function assertion(authenticator: SoftwareAuthenticator, deviation?: Deviation): string {
  authenticator.userHandle = USER_HANDLE.toString('base64url');
  return JSON.stringify(authenticator.assert(requestOptions, deviation));
}
