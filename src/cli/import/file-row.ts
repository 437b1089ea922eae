import type { ImportRow, UnreadableRow } from '../../features/users/import/import-row.ts';

/** A row of an import file and the line that it stands on, counted from 1. */
export type FileRow = (ImportRow | UnreadableRow) & { readonly line: number };

/** What a file says of a user; the names are those of the gRPC contract. */
export const importFields = ['email', 'password_hash', 'roles', 'disabled'] as const;

/** A name from the file as an error may show it. */
export function nameInError(name: string): string {
  return name.length <= 40 ? `'${name}'` : `'${name.slice(0, 40)}…'`;
}
