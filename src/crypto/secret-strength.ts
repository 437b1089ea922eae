/** Secrets from public documentation that many services use unchanged. Anyone can forge tokens with them. */
const PUBLISHED = new Set([
  '09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7', // the FastAPI security tutorial
  'a-string-secret-at-least-256-bits-long', // the jwt.io debugger
  'your-256-bit-secret-your-256-bit-secret',
  'qwertyuiopasdfghjklzxcvbnm123456', // the Spring and Symfony tutorials
]);

/** Placeholders of example files. Compared in lower case, without characters other than letters and digits. */
const PLACEHOLDER_WORDS = [
  'changeme',
  'changethis',
  'replaceme',
  'replacethis',
  'replacewith',
  'placeholder',
  'yoursecret',
  'yourjwtsecret',
  'yoursupersecret',
  'your256bitsecret',
  'opensslrand',
  'insertsecret',
  'djangoinsecure',
  'keyboardcat',
];

const SEQUENCES = ['0123456789abcdef', '1234567890', '0123456789', 'abcdefghijklmnopqrstuvwxyz'];

/**
 * What is wrong with a shared HS256 secret, or null. It must have at least 32 bytes (RFC 7518 section 3.2) and must not be
 * one that an attacker tries first: a published example, a placeholder, or a repeated short text. (K10, L18)
 */
export function sharedSecretFault(text: string): string | null {
  if (Buffer.byteLength(text) < 32) return 'is shorter than 32 bytes';
  const plain = text.toLowerCase().replace(/[^a-z0-9]/g, '');
  if (PUBLISHED.has(text.trim().toLowerCase()))
    return 'is an example from public documentation, which anyone can know';
  if (PLACEHOLDER_WORDS.some((word) => plain.includes(word))) return 'is a placeholder from an example';
  if (isShortTextRepeated(text) || SEQUENCES.some((sequence) => isRepetitionOf(sequence, plain))) {
    return 'is a repeated short or obvious text';
  }
  return null;
}

/** What is wrong with a base64 master key, or null. It encrypts every key in the database with AES-256, so it has 32 bytes. */
export function masterKeyFault(text: string): string | null {
  const bytes = Buffer.from(text, 'base64');
  // Node's decoder skips characters that are not base64, so the text must survive a round trip unchanged.
  if (bytes.toString('base64') !== text) return 'is not base64';
  if (bytes.length !== 32) return `is ${bytes.length} bytes long, not 32`;
  if (bytes.every((byte) => byte === bytes[0])) return 'is a single repeated byte';
  return null;
}

function isShortTextRepeated(text: string): boolean {
  if (new Set(text).size < 6) return true;
  return [1, 2, 3, 4, 5, 6, 7, 8].some((length) => isRepetitionOf(text.slice(0, length), text));
}

/** Whether `text` consists of repetitions of `unit`; the last one may be incomplete. */
function isRepetitionOf(unit: string, text: string): boolean {
  return text !== '' && unit.repeat(Math.ceil(text.length / unit.length)).startsWith(text);
}
