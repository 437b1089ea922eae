/** A user as another program's table has it. */
export interface ImportRow {
  readonly email: string;
  /** The stored text of the password hash; null for a user without a password. */
  readonly passwordHash: string | null;
  readonly roles: readonly string[];
  readonly disabled: boolean;
}

/** A row that whoever reads the file could not take apart; `unreadable` is one line that says why. */
export interface UnreadableRow {
  readonly unreadable: string;
}

/**
 * What becomes of a row. Skipped: a user with this e-mail exists, made earlier or by this very import. Refused: broken
 * rules; `reason` is one line that names the fields and never repeats what stands in them.
 */
export type ImportVerdict =
  | { readonly outcome: 'created' }
  | { readonly outcome: 'skipped' }
  | { readonly outcome: 'refused'; readonly reason: string };

/** How many rows had each verdict. */
export type ImportCounts = Readonly<Record<ImportVerdict['outcome'], number>>;
