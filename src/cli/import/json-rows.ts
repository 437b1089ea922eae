import type { ImportRow, UnreadableRow } from '../../features/users/import/import-row.ts';
import { parseStrictJson } from '../../tokens/verify/strict-json.ts';
import { type FileRow, importFields, nameInError } from './file-row.ts';
import type { TextLine } from './text-lines.ts';

/** Reads the rows of a file with one JSON object a line. Empty lines are skipped. */
export async function* jsonRows(lines: AsyncIterable<TextLine>): AsyncGenerator<FileRow> {
  for await (const line of lines) {
    if ('unreadable' in line) yield line;
    else if (line.text.trim() !== '') yield { line: line.line, ...readRow(line.text) };
  }
}

function readRow(text: string): ImportRow | UnreadableRow {
  const row = parseStrictJson(text);
  if (row === null) return { unreadable: 'the line must be one JSON object without duplicate members' };
  const unknown = Object.keys(row).find((name) => !(importFields as readonly string[]).includes(name));
  if (unknown !== undefined) {
    return {
      unreadable: `the member ${nameInError(unknown)} is unknown; known members: ${importFields.join(', ')}`,
    };
  }
  const { email, password_hash = null, roles = [], disabled = false } = row;
  const { id = null, external_id: externalId = null } = row;
  if (typeof email !== 'string') return { unreadable: 'email: must be a string' };
  if (password_hash !== null && typeof password_hash !== 'string') {
    return { unreadable: 'password_hash: must be a string, or null for a user without a password' };
  }
  if (!Array.isArray(roles) || !roles.every((role) => typeof role === 'string')) {
    return { unreadable: 'roles: must be an array of strings' };
  }
  if (typeof disabled !== 'boolean') return { unreadable: 'disabled: must be true or false' };
  if (id !== null && typeof id !== 'string')
    return { unreadable: 'id: must be a string with a UUID, or null' };
  if (externalId !== null && typeof externalId !== 'string') {
    return { unreadable: 'external_id: must be a string, or null; put a number in quotes' };
  }
  return { email, passwordHash: password_hash, roles, disabled, id, externalId };
}
