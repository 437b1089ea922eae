import { createHmac } from 'node:crypto';

import { base32, RFC_4648_ALPHABET } from '../../../crypto/base32.ts';
import { sameDigest } from '../../../crypto/keyed-digests.ts';

/** As long as the digest of SHA-1, which RFC 4226 section 4 recommends. */
export const TOTP_SECRET_BYTES = 20;
const PERIOD_SECONDS = 30;
const DIGITS = 6;
/** The code before and the one after are accepted as well: for clocks that differ, and the time that typing takes. */
const ACCEPTED_STEPS = [-1, 0, 1] as const;

/** The time step of a moment (RFC 6238 section 4.2). */
export function totpStep(nowSeconds: number): number {
  return Math.floor(nowSeconds / PERIOD_SECONDS);
}

/** The code of a time step: HMAC-SHA-1, six digits, which every authenticator app can make (RFC 6238, RFC 4226 section 5.3). */
export function totpCode(secret: Uint8Array, step: number): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const digest = createHmac('sha1', secret).update(counter).digest();
  const offset = digest.readUInt8(digest.length - 1) & 0xf;
  const number = digest.readUInt32BE(offset) & 0x7fffffff;
  return String(number % 10 ** DIGITS).padStart(DIGITS, '0');
}

/**
 * Returns the time step that a code is of, or null. All accepted steps are compared in constant time, so that the duration does not
 * tell how far a guess was off. Of several steps with the same code it is the newest.
 */
export function matchingStep(secret: Uint8Array, code: string, nowSeconds: number): number | null {
  const now = totpStep(nowSeconds);
  const presented = Buffer.from(code, 'utf8');
  let matching: number | null = null;
  for (const offset of ACCEPTED_STEPS) {
    const step = now + offset;
    // There is no step before 1970.
    if (sameDigest(presented, Buffer.from(totpCode(secret, Math.max(step, 0)), 'utf8')) && step >= 0)
      matching = step;
  }
  return matching;
}

/**
 * The URI that authenticator apps read from a QR code (the Key URI format of Google Authenticator).
 *
 * @param issuer the name of the service; a colon in it would end the name, so it is replaced
 * @param account the user as the app shows them
 */
export function otpauthUri(secret: Uint8Array, issuer: string, account: string): string {
  const name = encodeURIComponent(issuer.replaceAll(':', ' ').trim());
  const parameters = [
    `secret=${totpSecretText(secret)}`,
    `issuer=${name}`,
    'algorithm=SHA1',
    `digits=${DIGITS}`,
    `period=${PERIOD_SECONDS}`,
  ];
  return `otpauth://totp/${name}:${encodeURIComponent(account)}?${parameters.join('&')}`;
}

/** The secret as people type it into an app. */
export function totpSecretText(secret: Uint8Array): string {
  return base32(secret, RFC_4648_ALPHABET);
}
