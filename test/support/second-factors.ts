import { RFC_4648_ALPHABET } from '../../src/crypto/base32.ts';
import { totpCode, totpStep } from '../../src/features/second-factors/totp/totp.ts';
import { ErrorInfo } from '../../src/generated/google/rpc/error_details.ts';
import { Status } from '../../src/generated/google/rpc/status.ts';
import { storeAuthentication } from './session-level.ts';
import type { Message, Outcome, TestService } from './test-service.ts';

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
  const bits = Array.from(text, (letter) =>
    RFC_4648_ALPHABET.indexOf(letter).toString(2).padStart(5, '0'),
  ).join('');
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

/**
 * The access token of a session whose user proved who they are some time ago: the session's row is dated back, and its tokens are
 * refreshed.
 */
export async function agedToken(service: TestService, tokens: Message, ageSeconds: number): Promise<string> {
  const { database } = service;
  const sessionId = String(tokens['session_id']);
  const [row] = await database.query('SELECT user_id, acr, amr FROM sessions WHERE id = $1', [sessionId]);
  const { user_id: userId, acr, amr } = row as { user_id: string; acr: 'aal1' | 'aal2'; amr: string[] };
  const authenticatedAtSeconds = Math.floor(Date.now() / 1000) - ageSeconds;
  await storeAuthentication(database, { sessionId, userId }, { acr, amr, authenticatedAtSeconds });
  const { response, message } = await service.call('postern.v1.AuthService/RefreshToken', {
    refresh_token: tokens['refresh_token'],
  });
  if (!response) throw new Error(`refresh failed: ${message}`);
  return String(response['access_token']);
}

/** The metadata of the ErrorInfo of a refusal. */
export function errorMetadata({ trailers }: Pick<Outcome, 'trailers'>): Readonly<Record<string, string>> {
  const [bytes] = trailers.get('grpc-status-details-bin');
  const info =
    bytes instanceof Buffer &&
    Status.decode(bytes).details.find(({ typeUrl }) => typeUrl.endsWith('google.rpc.ErrorInfo'));
  return info ? ErrorInfo.decode(info.value).metadata : {};
}
