import { totpCode, totpStep } from '../../src/features/second-factors/totp.ts';
import type { Message, TestService } from './test-service.ts';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** A user's confirmed TOTP factor. */
export interface TestFactor {
  readonly factorId: string;
  /** In base32. */
  readonly secret: string;
  readonly recoveryCodes: readonly string[];
  /** Of the session that enrolled it, now of level `aal2`. */
  readonly accessToken: string;
  /** The answer of ConfirmFactor. */
  readonly confirmed: Message;
}

/**
 * The code of a secret. That of the next step (`offset` 1) and of the present one stay valid when the step changes meanwhile;
 * that of the step before may not.
 */
export function totpOf(secret: string, offset = 0): string {
  return totpCode(base32Bytes(secret), totpStep(Date.now() / 1000) + offset);
}

/** A six-digit code that is none of the accepted ones. @param different makes different ones */
export function wrongTotpOf(secret: string, different = 0): string {
  const near = [-2, -1, 0, 1, 2].map((offset) => totpOf(secret, offset));
  for (let number = different * 10; ; number += 1) {
    const code = String(number).padStart(6, '0');
    if (!near.includes(code)) return code;
  }
}

export function base32Bytes(text: string): Buffer {
  const bits = Array.from(text, (letter) => BASE32.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const bytes = bits.match(/.{8}/g) ?? [];
  return Buffer.from(bytes.map((byte) => parseInt(byte, 2)));
}

export const bearer = (accessToken: string) => ({ authorization: `Bearer ${accessToken}` });

/** Enrols and confirms a TOTP factor of the user of a fresh token, and makes the code that confirmed it usable again. */
export async function addTotp(
  service: TestService,
  accessToken: string,
  name = 'phone',
): Promise<TestFactor> {
  const call = async (method: string, request: Message) => {
    const answer = await service.call(`postern.v1.AuthService/${method}`, request, bearer(accessToken));
    if (!answer.response) throw new Error(`${method} failed: ${answer.message}`);
    return answer.response;
  };
  const enrolment = await call('EnrolTotp', { name });
  const factorId = String(enrolment['factor_id']);
  const secret = String(enrolment['secret']);
  const confirmed = await call('ConfirmFactor', { factor_id: factorId, code: totpOf(secret) });
  await forgetUsedCodes(service, factorId);
  const tokens = confirmed['tokens'] as Message;
  return {
    factorId,
    secret,
    recoveryCodes: confirmed['recovery_codes'] as string[],
    accessToken: String(tokens['access_token']),
    confirmed,
  };
}

/** Makes the present code usable again, so that a test need not wait for the next one. */
export async function forgetUsedCodes(
  { database }: Pick<TestService, 'database'>,
  factorId: string,
): Promise<void> {
  await database.query('UPDATE factors SET last_step = -1 WHERE id = $1', [factorId]);
}
