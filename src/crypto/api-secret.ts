import { crc32 } from 'node:zlib';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const RANDOM_BYTES = 32;
/** 62^43 is just above 2^256. */
const RANDOM_CHARACTERS = 43;
/** 62^6 is above 2^32. */
const CHECKSUM_CHARACTERS = 6;
const PATTERN = /^[0-9A-Za-z]{49}$/;

/** `pak_`: API key. `psk_`: secret of a service account. `prs_`: password reset token. */
export type SecretPrefix = 'pak_' | 'psk_' | 'prs_';

/**
 * Makes a secret that a leak scanner finds without false positives: a prefix, 256 bits in base62 (43 characters), and the
 * CRC-32 of both in base62 (6 characters). Pattern for scanners: `\b(pak|psk|prs)_[0-9A-Za-z]{49}\b`.
 *
 * @param random 32 unpredictable bytes
 */
export function makeScannableSecret(prefix: SecretPrefix, random: Uint8Array): string {
  if (random.length !== RANDOM_BYTES) throw new RangeError('a secret takes 32 random bytes');
  const body = base62(BigInt(`0x${Buffer.from(random).toString('hex')}`), RANDOM_CHARACTERS);
  return prefix + body + checksum(prefix + body);
}

/** Whether a text has the format of `makeScannableSecret`. Rejects junk and mistyped secrets without a database query. */
export function isScannableSecret(prefix: SecretPrefix, text: string): boolean {
  if (!text.startsWith(prefix) || !PATTERN.test(text.slice(prefix.length))) return false;
  const body = text.slice(0, -CHECKSUM_CHARACTERS);
  return text.endsWith(checksum(body));
}

/**
 * The 32 bytes of a secret that `isScannableSecret` accepts. 43 base62 characters can encode more than 256 bits; the excess
 * high bits are dropped. `makeScannableSecret` never produces such a secret.
 */
export function bytesOfScannableSecret(text: string): Uint8Array {
  const body = text.slice(-RANDOM_CHARACTERS - CHECKSUM_CHARACTERS, -CHECKSUM_CHARACTERS);
  let value = 0n;
  for (const character of body) value = value * 62n + BigInt(ALPHABET.indexOf(character));
  return Buffer.from(
    BigInt.asUintN(8 * RANDOM_BYTES, value)
      .toString(16)
      .padStart(2 * RANDOM_BYTES, '0'),
    'hex',
  );
}

function checksum(text: string): string {
  return base62(BigInt(crc32(text)), CHECKSUM_CHARACTERS);
}

function base62(value: bigint, length: number): string {
  let rest = value;
  let text = '';
  for (let position = 0; position < length; position += 1) {
    text = ALPHABET.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return text;
}
