import { CsvError } from 'csv-parse';
import { parse } from 'csv-parse/sync';

import type { ImportRow, UnreadableRow } from '../../features/users/import/import-row.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { type FileRow, importFields, nameInError } from './file-row.ts';
import type { TextLine } from './text-lines.ts';

const SEPARATOR = /[ ;]+/;
/** As spreadsheets and PostgreSQL's COPY write them. */
const truth: ReadonlyMap<string, boolean> = new Map([
  ...['true', 't', '1'].map((word) => [word, true] as const),
  ...['false', 'f', '0', ''].map((word) => [word, false] as const),
]);

/**
 * Rows of a file of comma-separated values with a header; empty lines are passed over. Each line is parsed by itself,
 * since no field can hold a line end: a quote that was left open spoils its line, and not the rest of the file.
 *
 * @throws CommandFailure when the header is not one of an import
 */
export async function* csvRows(lines: AsyncIterable<TextLine>): AsyncGenerator<FileRow> {
  let columns: readonly string[] | undefined;
  for await (const line of lines) {
    if ('text' in line && line.text.trim() === '') continue;
    const cells = 'text' in line ? cellsOf(line.text) : line.unreadable;
    if (columns === undefined) columns = requireHeader(line.line, cells);
    else if (typeof cells === 'string') yield { line: line.line, unreadable: cells };
    else yield { line: line.line, ...readRow(columns, cells) };
  }
  if (columns === undefined) throw badHeader(1, 'there is none: the file is empty');
}

/** The cells of a line, or why there are none. The library's own messages repeat what stands in the file. */
function cellsOf(text: string): string[] | string {
  try {
    const records: string[][] = parse(text, { record_delimiter: '\n' });
    return records[0] ?? [];
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    return error.code === 'CSV_QUOTE_NOT_CLOSED'
      ? 'a quote is not closed on its line'
      : 'a quote stands inside a cell: put the whole cell in quotes, and write each quote in it twice';
  }
}

function requireHeader(line: number, cells: string[] | string): readonly string[] {
  if (typeof cells === 'string') throw badHeader(line, cells);
  const known = importFields.join(',');
  const unknown = cells.find((name) => !(importFields as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw badHeader(
      line,
      `the column ${nameInError(unknown)} is unknown; known are ${known}, with commas between them`,
    );
  }
  const twice = cells.find((name, index) => cells.indexOf(name) !== index);
  if (twice !== undefined) throw badHeader(line, `the column '${twice}' is there twice`);
  if (!cells.includes('email')) throw badHeader(line, "there is no column 'email'");
  return cells;
}

function badHeader(line: number, says: string): CommandFailure {
  return new CommandFailure(
    exitCodes.refused,
    `line ${line}: ${says}`,
    'The first line of a CSV file names its columns. Nothing was changed.',
  );
}

function readRow(columns: readonly string[], cells: readonly string[]): ImportRow | UnreadableRow {
  if (cells.length !== columns.length) {
    return {
      unreadable: `there are ${cells.length} cells for ${columns.length} columns; a cell with a comma in it must be in quotes`,
    };
  }
  const cell = (name: (typeof importFields)[number]) => cells[columns.indexOf(name)] ?? '';
  const disabled = truth.get(cell('disabled').toLowerCase());
  if (disabled === undefined) return { unreadable: 'disabled: must be true or false' };
  return {
    email: cell('email'),
    passwordHash: cell('password_hash') || null,
    roles: cell('roles')
      .split(SEPARATOR)
      .filter((role) => role !== ''),
    disabled,
  };
}
