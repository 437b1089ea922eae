import type { ImportRow, UnreadableRow } from '../../features/users/import/import-row.ts';

/** A row of an import file with its line number, counted from 1. */
export type FileRow = (ImportRow | UnreadableRow) & { readonly line: number };

/** The fields of a user in an import file. The names are those of the gRPC contract. */
export const importFields = ['email', 'password_hash', 'roles', 'disabled', 'id', 'external_id'] as const;

/** Quotes a name from the file for an error message, shortened. */
export function nameInError(name: string): string {
  return name.length <= 40 ? `'${name}'` : `'${name.slice(0, 40)}…'`;
}
