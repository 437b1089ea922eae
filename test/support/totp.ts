import { totpCode, totpStep } from '../../src/features/second-factors/totp/totp.ts';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';

/** The code of a base32 secret, `offset` steps of 30 seconds from now. */
export function totpAt(secret: string, offset: number): string {
  const bits = Array.from(secret, (letter) => ALPHABET.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const bytes = bits.match(/.{8}/g) ?? [];
  return totpCode(
    Buffer.from(bytes.map((byte) => Number.parseInt(byte, 2))),
    totpStep(Date.now() / 1000) + offset,
  );
}
