/** A way of writing a hashed password, by its own prefix. One file, and a row of the table, for each. */
export interface PasswordFormat {
  readonly name: string;
  /** Whether a stored text claims to be of this format; it may be damaged all the same. */
  claims(stored: string): boolean;
  /** Reads a claimed text without doing the work; one line that says why when damaged, or dearer than allowed. */
  read(stored: string): StoredHash | string;
  /**
   * A readable text of a hash that nobody has the password of, for measuring what one of `kind` takes. A kind is a
   * stored text less salt and digest; they stand at its end unless the format says otherwise.
   */
  complete(kind: string): string;
}

export interface StoredHash {
  /**
   * What `verify` costs, in hashes with current parameters: 0.5 is half the work of one. Exact for argon2; for the
   * others at least what it costs, by measurements whose ratio differs between processors.
   */
  readonly work: number;
  /** Whether a login with the right password should replace the text with one made with current parameters. */
  readonly needsRehash: boolean;
  /** Does the work, in the calling thread, and compares in constant time. May throw on damage seen only now. */
  verify(password: string): boolean;
}

/** Why a stored text cannot be checked, in words for the log. */
export type HashDamage = 'unknown-format' | 'damaged';
