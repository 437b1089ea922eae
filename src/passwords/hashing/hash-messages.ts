import type { HashDamage } from '../formats/password-format.ts';
import type { PasswordForms } from '../password-policy.ts';

/** Message to a hashing thread. */
export type HashRequest =
  | {
      readonly kind: 'hash';
      /** Already normalised. */
      readonly password: string;
    }
  | {
      readonly kind: 'verify';
      /** Null when there is no such user, or the user has no password. */
      readonly stored: string | null;
      /** A hash whose password nobody knows, verified when `stored` cannot be. */
      readonly dummy: string;
      /** An imported hash is compared with each of them until one matches, any other hash with the first. */
      readonly passwords: PasswordForms;
    };

/** Response of a hashing thread. `workMs` is the time from receiving the request to sending the response. */
export type HashResponse =
  | { readonly kind: 'hashed'; readonly workMs: number; readonly phc: string }
  | {
      readonly kind: 'verified';
      readonly workMs: number;
      readonly matches: boolean;
      readonly needsRehash: boolean;
      /** Number of passwords that were compared with the stored hash or the dummy. */
      readonly compared: number;
      readonly damage: HashDamage | null;
    };
