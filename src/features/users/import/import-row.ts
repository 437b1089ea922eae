/** A user exported from another system. */
export interface ImportRow {
  readonly email: string;
  /** Password hash as the other system stores it; null for a user without a password. */
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
  /** The id of the user in the other system, which becomes the id here. */
  readonly id?: string | null;
  /** The id of the user in the other system, for the claim `external_id`. */
  readonly externalId?: string | null;
}

/** A row that could not be parsed; `unreadable` is one line that says why. */
export interface UnreadableRow {
  readonly unreadable: string;
}

/**
 * Result for a row. Skipped: a user with this e-mail exists, created before or by an earlier row of this import.
 * `sameAs` is the position of that earlier row, by which the caller counts rows; undefined without one.
 * Refused: the row breaks rules, or its ids are not those of the user or belong to another one; `reason` is one line that
 * names the fields and never contains their values.
 */
export type ImportVerdict =
  | { readonly outcome: 'created' }
  | { readonly outcome: 'skipped'; readonly sameAs: number | undefined }
  | { readonly outcome: 'refused'; readonly reason: string };

/** Number of rows by outcome. */
export type ImportCounts = Readonly<Record<ImportVerdict['outcome'], number>>;
