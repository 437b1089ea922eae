import { createHash, createHmac } from 'node:crypto';

import { bcryptHash } from '../bcrypt-hash.ts';
import type { PasswordFormat } from '../password-format.ts';
import { wordpressInputs } from './wordpress-password.ts';

/** bcrypt over a digest of the password, so that every byte counts. The digest and its text differ by framework. */
interface Framework {
  /** Name of the format in messages. */
  readonly name: string;
  /** Marker at the start of the stored text. */
  readonly ident: string;
  /** How the framework's own text begins, if it is stored in another form. */
  readonly foreignPrefix: string;
  /** Maximum number of texts that `inputs` returns. */
  readonly maxInputs: 1 | 2;
  readonly inputs: (password: string, salt: string, isVersion2: boolean) => readonly string[];
}

/** Version 2 is written `v=2,t=2b,r=12`, as passlib does now; everything else `2b,12`. */
const PATTERN =
  /^\$[a-z0-9-]{1,32}\$(?:(v=2),t=(2[aby]),r=([1-9]\d?)|(2[aby]),([1-9]\d?))\$([./A-Za-z0-9]{22})\$([./A-Za-z0-9]{31})$/;

function digestedBcryptFormat(framework: Framework): PasswordFormat {
  const { name, ident, foreignPrefix, maxInputs, inputs } = framework;
  return {
    name,

    recognises: (stored) => stored.startsWith(`$${ident}$`) || stored.startsWith(foreignPrefix),

    read(stored) {
      const [, v2, kind2 = '', rounds2 = '', kind1 = '', rounds1 = '', salt = '', digest = ''] =
        PATTERN.exec(stored) ?? [];
      const bcrypt = `$${kind2 || kind1}$${(rounds2 || rounds1).padStart(2, '0')}$${salt}${digest}`;
      const of = (password: string) => inputs(password, salt, v2 !== undefined);
      return bcryptHash(bcrypt, { max: maxInputs, of }) ?? `is not a well-formed hash of ${name}`;
    },

    exampleHash: (kind) => `${kind}${'.'.repeat(22)}$${'.'.repeat(31)}`,
  };
}

/** passlib's `bcrypt_sha256`; version 2 has the salt as the key of an HMAC. */
export const passlibBcryptSha256Format = digestedBcryptFormat({
  name: 'passlib bcrypt_sha256',
  ident: 'bcrypt-sha256',
  foreignPrefix: '$bcrypt-sha256$',
  maxInputs: 1,
  inputs: (password, salt, isVersion2) => [
    (isVersion2 ? createHmac('sha256', salt) : createHash('sha256')).update(password).digest('base64'),
  ],
});

/** Django's `BCryptSHA256PasswordHasher`; Meteor hashes the same digest. */
export const djangoBcryptSha256Format = digestedBcryptFormat({
  name: 'django bcrypt_sha256',
  ident: 'django-bcrypt-sha256',
  foreignPrefix: 'bcrypt_sha256$',
  maxInputs: 1,
  inputs: (password) => [createHash('sha256').update(password).digest('hex')],
});

/** WordPress since 6.8. */
export const wordpressBcryptFormat = digestedBcryptFormat({
  name: 'wordpress bcrypt',
  ident: 'wp-bcrypt',
  foreignPrefix: '$wp$',
  maxInputs: 2,
  inputs: (password) =>
    wordpressInputs(password).map((input) =>
      createHmac('sha384', 'wp-sha384').update(input).digest('base64'),
    ),
});
