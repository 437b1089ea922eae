import type { HashDamage } from '../formats/password-format.ts';

/** What a hashing thread is asked. Passwords are normalised already. */
export type HashRequest =
  | { readonly kind: 'hash'; readonly password: string }
  | {
      readonly kind: 'verify';
      /** null when there is no user, or none with a password. */
      readonly stored: string | null;
      /** A real hash that nobody has the password of, checked where `stored` cannot be. */
      readonly dummy: string;
      readonly password: string;
    };

/** What a hashing thread answers; `workMs` is the time from taking the job to answering it. */
export type HashResponse =
  | { readonly kind: 'hashed'; readonly workMs: number; readonly phc: string }
  | {
      readonly kind: 'verified';
      readonly workMs: number;
      readonly matches: boolean;
      readonly needsRehash: boolean;
      readonly damage: HashDamage | null;
    };
