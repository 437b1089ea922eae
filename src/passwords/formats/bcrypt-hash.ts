import { compareSync } from 'bcryptjs';
import type { StoredHash } from './password-format.ts';

/**
 * Cost, then 16 bytes of salt and 23 bytes of digest in bcrypt's own base64. The last character of each has unused
 * bits, which libraries leave zero, so only those characters are accepted. `$2x$` is not accepted: it marks hashes of a
 * library with a sign extension bug.
 */
const BCRYPT_PATTERN = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26]$/;

/** The minimum is that of the algorithm; the maximum takes about a second. */
const COSTS = { min: 4, max: 14 };

/** In hashes with current parameters: bcryptjs at cost 10 takes 72 ms, one such hash 10 to 20 ms. */
const WORK_AT_COST_10 = 7;

/**
 * bcrypt, from the text `$2b$cost$…` that any of its text formats contains. Returns one line with the reason when the
 * cost is out of bounds, and undefined when `bcrypt` is not well-formed.
 *
 * @param bcrypt the hash itself, without what a framework writes around it
 * @param inputs what the framework may have hashed for a password: at most two texts, the likely one first
 */
export function bcryptHash(
  bcrypt: string,
  inputs: { readonly max: 1 | 2; readonly of: (password: string) => readonly string[] },
): StoredHash | string | undefined {
  const [, costText] = BCRYPT_PATTERN.exec(bcrypt) ?? [];
  if (costText === undefined) return undefined;
  const cost = Number(costText);
  // Two inputs at cost 13 take as long as one at cost 14.
  const max = COSTS.max - (inputs.max - 1);
  if (cost > max) return `has cost ${cost}; the maximum for bcrypt is ${max}`;
  if (cost < COSTS.min) return `has cost ${cost}; the minimum for bcrypt is ${COSTS.min}`;
  return {
    work: inputs.max * WORK_AT_COST_10 * 2 ** (cost - 10),
    needsRehash: true,
    verify: (password) => inputs.of(password).some((input) => compareSync(input, bcrypt)),
  };
}
