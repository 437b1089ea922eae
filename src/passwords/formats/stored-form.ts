import { decodeCanonicalBase64, encodeAb64, encodeUnpadded, withoutPadding } from './base64.ts';
import { CRYPT64_ALPHABET } from './crypt64.ts';
import { SHA_BYTES } from './salted-sha-format.ts';

/** Whether an exported "hash" says that the user has no password which could match. */
export function marksNoPassword(text: string): boolean {
  // Django and /etc/shadow write `!` before anything. A `*` before 40 hexadecimal digits is a hash of MySQL, no marker.
  return text.startsWith('!') || /^(?:\*[A-Za-z0-9]{0,12}\*?|\\N|NULL)$/.test(text);
}

/**
 * The text that is stored for a hash as another program writes it. Frameworks write words, lengths or an encoding of
 * their own around a hash that a format knows; here they are taken off, so that each hash has one stored text. It ends
 * with `$salt$digest`, by which the database tells kinds of hashes (`postern_hash_kind`). A text that no rule knows
 * stays as it is.
 */
export function storedFormOf(text: string): string {
  return rules.reduce((form, rule) => rule(form) ?? form, text);
}

/** Returns undefined for a text to which it does not apply. */
type Rule = (text: string) => string | undefined;

/** In this order: what an earlier rule uncovers, a later one may take further. */
const rules: readonly Rule[] = [
  /** A column of the type CHAR is filled up with spaces. */
  (text) => {
    let end = text.length;
    while (text[end - 1] === ' ') end -= 1;
    return text.slice(0, end);
  },

  /** LDIF writes `userPassword:: ` and the base64 of `{SSHA}…`. */
  (text) => {
    if (!/^e[w-z0-9+/][A-Za-z0-9+/]{4,}={0,2}$/.test(text)) return undefined;
    const decoded = decodeCanonicalBase64(text, 'padded')?.toString('latin1') ?? '';
    return /^\{[A-Za-z0-9@_.-]{2,40}\}[\x21-\x7e]+$/.test(decoded) ? decoded : undefined;
  },

  /** LDAP, Dovecot and Spring Security name the algorithm in braces before a hash that names it again. */
  (text) =>
    /^\{(?:CRYPT|BLF-CRYPT|SHA256-CRYPT|SHA512-CRYPT|BCRYPT|ARGON2(?:I|ID|@SpringSecurity_v5_(?:2|8))?)\}([$!*].*)$/i.exec(
      text,
    )?.[1],

  /** Django: `argon2$argon2id$…` and `bcrypt$$2b$…`. */
  (text) => /^argon2(\$argon2(?:id|i|d)\$.*)$/.exec(text)?.[1] ?? /^bcrypt\$(\$2.*)$/.exec(text)?.[1],

  /** Django: `bcrypt_sha256$$2b$12$…`. */
  (text) => splitBcrypt('django-bcrypt-sha256', /^bcrypt_sha256\$\$(.*)$/.exec(text)?.[1]),

  /** WordPress since 6.8: `$wp$2y$10$…`. */
  (text) => splitBcrypt('wp-bcrypt', /^\$wp\$(.*)$/.exec(text)?.[1]),

  /** phpass: the number of iterations is one character. */
  (text) => {
    const [, kind = '', log2 = '', salt = '', digest = ''] =
      /^\$([PHS])\$([./A-Za-z0-9])(.{8})(.{22,43})$/.exec(text) ?? [];
    const ident = PHPASS_IDENTS.get(kind);
    return ident && `$${ident}$${CRYPT64_ALPHABET.indexOf(log2)}$${salt}$${digest}`;
  },

  /** LDAP: base64 of digest and salt. */
  (text) => {
    const [, bits = '', encoded = ''] = /^\{SSHA(256|512)?\}([A-Za-z0-9+/]+={0,2})$/i.exec(text) ?? [];
    const bytes = decodeBase64(encoded);
    const length = SHA_BYTES[bits === '256' ? 'sha256' : bits === '512' ? 'sha512' : 'sha1'];
    if (bytes === undefined || bytes.length <= length) return undefined;
    return `$ssha${bits}$${encodeUnpadded(bytes.subarray(length))}$${encodeUnpadded(bytes.subarray(0, length))}`;
  },

  /** OpenLDAP's pw-pbkdf2 and passlib: `{PBKDF2-SHA256}rounds$salt$digest`. */
  (text) => {
    const [, bits = '', rest] = /^\{PBKDF2(?:-SHA1|-SHA(256|512))?\}(\d.*)$/.exec(text) ?? [];
    return rest && `$pbkdf2${bits && `-sha${bits}`}$${rest}`;
  },

  /** Atlassian (Jira, Confluence, Crowd): base64 of 16 bytes of salt and 32 bytes of PBKDF2-SHA1 with 10,000 rounds. */
  (text) => {
    const bytes = decodeBase64(/^\{PKCS5S2\}(.*)$/.exec(text)?.[1] ?? '');
    return bytes?.length === 48
      ? pbkdf2Text('', 10_000, bytes.subarray(0, 16), bytes.subarray(16))
      : undefined;
  },

  /** npm's `@phc/pbkdf2` writes `i=` before the iterations; base64 as elsewhere is written for passlib's. */
  (text) => {
    const [, ident, iterations, salt = '', digest = ''] =
      /^\$(pbkdf2(?:-sha1|-sha256|-sha512)?)\$(?:i=)?(\d+)\$([A-Za-z0-9+/.]+={0,2})\$([A-Za-z0-9+/.]+={0,2})$/.exec(
        text,
      ) ?? [];
    if (ident === undefined) return undefined;
    const adapted = [salt, digest].map((part) => withoutPadding(part).replaceAll('+', '.'));
    return ['', ident === 'pbkdf2-sha1' ? 'pbkdf2' : ident, iterations, ...adapted].join('$');
  },

  /** ASP.NET Identity: base64 of a version byte and what belongs to it; integers with the highest byte first. */
  (text) => {
    const bytes = /^A[A-Za-z0-9+/]{60,}={0,2}$/.test(text)
      ? decodeCanonicalBase64(text, 'padded')
      : undefined;
    if (bytes === undefined) return undefined;
    // Version 2, which ASP.NET MVC has written since 2013: PBKDF2-SHA1, 1000 iterations.
    if (bytes[0] === 0 && bytes.length === 49) {
      return pbkdf2Text('', 1_000, bytes.subarray(1, 17), bytes.subarray(17));
    }
    const bits = ['', '-sha256', '-sha512'][bytes.readUInt32BE(1)];
    const saltBytes = bytes.readUInt32BE(9);
    if (bytes[0] !== 1 || bits === undefined || 13 + saltBytes >= bytes.length) return undefined;
    return pbkdf2Text(
      bits,
      bytes.readUInt32BE(5),
      bytes.subarray(13, 13 + saltBytes),
      bytes.subarray(13 + saltBytes),
    );
  },

  /** Firebase as Supabase writes it. */
  (text) => {
    const [, ln, r, p, separator = '', signer = '', salt = '', hash = ''] =
      /^\$fbscrypt\$v=1,n=(\d+),r=(\d+),p=(\d+),ss=([^,$]*),sk=([^,$]+)\$([^$]+)\$([^$]+)$/.exec(text) ?? [];
    return firebaseText([ln, r, p], { salt, separator, signer, hash });
  },

  /** Firebase as Ory Kratos writes it. */
  (text) => {
    const [, ln, r, p, salt = '', hash = '', separator = '', signer = ''] =
      /^\$firescrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([^$]+)\$([^$]+)\$([^$]*)\$([^$]+)$/.exec(text) ?? [];
    return firebaseText([ln, r, p], { salt, separator, signer, hash });
  },
];

const PHPASS_IDENTS: ReadonlyMap<string, string> = new Map([
  ['P', 'wp-phpass'],
  ['H', 'phpass'],
  ['S', 'drupal-phpass'],
]);

/** @param rest `2b$12$`, 22 characters of salt and 31 of digest */
function splitBcrypt(ident: string, rest = ''): string | undefined {
  const [, kind, cost, salt, digest] = /^(2[a-z]?)\$0?(\d{1,2})\$(.{22})(.{31})$/.exec(rest) ?? [];
  return kind === undefined ? undefined : ['', ident, `${kind},${cost}`, salt, digest].join('$');
}

function firebaseText(
  [ln, r, p]: readonly (string | undefined)[],
  encoded: Readonly<Record<'salt' | 'separator' | 'signer' | 'hash', string>>,
): string | undefined {
  const [salt, separator, signer, hash] = [encoded.salt, encoded.separator, encoded.signer, encoded.hash].map(
    (text) => decodeBase64(text),
  );
  if (ln === undefined || !salt || !separator || !signer || !hash || hash.length !== signer.length)
    return undefined;
  const stream = hash.map((byte, index) => byte ^ (signer[index] ?? 0));
  const whole = Buffer.concat([salt, separator]);
  return `$firebase-scrypt$ln=${ln},r=${r},p=${p}$${encodeUnpadded(whole)}$${encodeUnpadded(stream)}`;
}

function pbkdf2Text(suffix: string, iterations: number, salt: Uint8Array, key: Uint8Array): string {
  return `$pbkdf2${suffix}$${iterations}$${encodeAb64(salt)}$${encodeAb64(key)}`;
}

/** Standard or URL-safe base64, with or without padding. */
function decodeBase64(text: string): Buffer | undefined {
  const standard = withoutPadding(text).replaceAll('-', '+').replaceAll('_', '/');
  return decodeCanonicalBase64(standard, 'unpadded');
}
