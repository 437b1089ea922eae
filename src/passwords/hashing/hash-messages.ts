import type { HashDamage } from '../formats/password-format.ts';

/** Message to a hashing thread. Passwords are already normalised. */
export type HashRequest =
  | { readonly kind: 'hash'; readonly password: string }
  | {
      readonly kind: 'verify';
      /** Null when there is no such user, or the user has no password. */
      readonly stored: string | null;
      /** A hash whose password nobody knows, verified when `stored` cannot be. */
      readonly dummy: string;
      readonly password: string;
    };

/** Response of a hashing thread. `workMs` is the time from receiving the request to sending the response. */
export type HashResponse =
  | { readonly kind: 'hashed'; readonly workMs: number; readonly phc: string }
  | {
      readonly kind: 'verified';
      readonly workMs: number;
      readonly matches: boolean;
      readonly needsRehash: boolean;
      readonly damage: HashDamage | null;
    };
