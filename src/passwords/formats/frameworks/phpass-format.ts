import { hash, timingSafeEqual } from 'node:crypto';

import { crypt64 } from '../crypt64.ts';
import type { PasswordFormat, StoredHash } from '../password-format.ts';
import { wordpressInputs } from './wordpress-password.ts';

/** A framework that uses the portable hashes of phpass: an iterated digest, 2^log2 times. */
interface Framework {
  /** Name of the format in messages. */
  readonly name: string;
  /** Marker at the start of the stored text. */
  readonly ident: string;
  /** How the framework's own text begins. */
  readonly foreignPrefix: string;
  readonly digest: 'md5' | 'sha512';
  /** Characters of the digest that are stored. */
  readonly characters: number;
  readonly inputs: (password: string) => readonly string[];
  /**
   * Cost of 2^13 iterations for the longest password, in hashes with current parameters: each iteration reads the whole
   * password.
   */
  readonly workAtLog2Of13: number;
  readonly maxLog2: number;
}

/** The minimum of phpass. */
const MIN_LOG2 = 7;
const PATTERN = /^\$[a-z0-9-]{1,32}\$([1-9]\d?)\$([./A-Za-z0-9]{8})\$([./A-Za-z0-9]{22,43})$/;

/** phpass, stored as `$ident$log2$salt$digest`. */
function phpassFormat(framework: Framework): PasswordFormat {
  const { name, ident, foreignPrefix, characters, maxLog2 } = framework;
  return {
    name,

    recognises: (stored) => stored.startsWith(`$${ident}$`) || stored.startsWith(foreignPrefix),

    read(stored): StoredHash | string {
      const [, log2Text, salt = '', expected = ''] = PATTERN.exec(stored) ?? [];
      if (log2Text === undefined || expected.length !== characters) {
        return `is not a well-formed hash of ${name}`;
      }
      const log2 = Number(log2Text);
      if (log2 > maxLog2 || log2 < MIN_LOG2) {
        return `has 2^${log2} iterations; 2^${MIN_LOG2} to 2^${maxLog2} are accepted for ${name}`;
      }
      return {
        work: framework.workAtLog2Of13 * 2 ** (log2 - 13),
        needsRehash: true,
        verify: (password) =>
          framework.inputs(password).some((input) => {
            const computed = crypt64(iterate(framework.digest, input, salt, 2 ** log2)).slice(0, characters);
            return timingSafeEqual(Buffer.from(computed), Buffer.from(expected));
          }),
      };
    },

    exampleHash: (kind) => `${kind}${'.'.repeat(8)}$${'.'.repeat(characters)}`,
  };
}

function iterate(digest: 'md5' | 'sha512', password: string, salt: string, iterations: number): Buffer {
  const first = hash(digest, salt + password, 'buffer');
  const block = Buffer.concat([first, Buffer.from(password)]);
  for (let iteration = 0; iteration < iterations; iteration++) hash(digest, block, 'buffer').copy(block);
  return block.subarray(0, first.length);
}

/** `$P$` of WordPress before 6.8. */
export const wordpressPhpassFormat = phpassFormat({
  name: 'wordpress phpass',
  ident: 'wp-phpass',
  foreignPrefix: '$P$',
  digest: 'md5',
  characters: 22,
  inputs: wordpressInputs,
  workAtLog2Of13: 9,
  maxLog2: 16,
});

/** `$H$` of phpBB 3. */
export const phpbbPhpassFormat = phpassFormat({
  name: 'phpbb phpass',
  ident: 'phpass',
  foreignPrefix: '$H$',
  digest: 'md5',
  characters: 22,
  inputs: (password) => [password],
  workAtLog2Of13: 3,
  maxLog2: 17,
});

/** `$S$` of Drupal 7 to 10. */
export const drupalPhpassFormat = phpassFormat({
  name: 'drupal phpass',
  ident: 'drupal-phpass',
  foreignPrefix: '$S$',
  digest: 'sha512',
  characters: 43,
  inputs: (password) => [password],
  workAtLog2Of13: 3,
  maxLog2: 17,
});
