/** A text format of password hashes, recognised by its prefix. Each format has one file and one row in `format-table.ts`. */
export interface PasswordFormat {
  readonly name: string;
  /** Whether the prefix of `stored` is that of this format. The rest may still be malformed. */
  recognises(stored: string): boolean;
  /** Parses a recognised hash without hashing. Returns one line with the reason if it is malformed or too expensive. */
  read(stored: string): StoredHash | string;
  /**
   * Builds a well-formed hash whose password nobody knows, to measure the time of a verification.
   *
   * @param kind a stored hash without salt and digest, which stand at the end unless the format says otherwise
   */
  exampleHash(kind: string): string;
}

export interface StoredHash {
  /**
   * Cost of `verify`, in hashes with current parameters: 0.5 is half the work of one. An upper bound from measurements,
   * since the ratio differs between processors, and for the password that takes longest, since everybody can send that
   * one.
   */
  readonly work: number;
  /** Whether a successful login should replace the stored hash with one that has current parameters. */
  readonly needsRehash: boolean;
  /** Hashes in the calling thread and compares in constant time. May throw on a fault that `read` does not detect. */
  verify(password: string): boolean;
}

/** Why a stored hash cannot be verified, as the log names it. */
export type HashDamage = 'unknown-format' | 'damaged';
