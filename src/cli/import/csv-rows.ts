import { CsvError } from 'csv-parse';
import { parse } from 'csv-parse/sync';

import type { ImportRow, UnreadableRow } from '../../features/users/import/import-row.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { type FileRow, importFields, nameInError } from './file-row.ts';
import type { TextLine } from './text-lines.ts';

const ROLE_SEPARATOR = /[ ;]+/;
/** Booleans as spreadsheets and PostgreSQL's COPY write them. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 't', '1'].map((text) => [text, true] as const),
  ...['false', 'f', '0', ''].map((text) => [text, false] as const),
]);

/**
 * Reads the rows of a CSV file with a header. Empty lines are skipped. Each line is parsed on its own, since no field may
 * contain a line break: an unclosed quote makes its line invalid, not the rest of the file.
 *
 * @throws CommandFailure when the header is not that of an import file
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
  if (columns === undefined) throw badHeader(1, 'the header is missing: the file is empty');
}

/** The cells of a line, or why it cannot be parsed. The library's own messages would quote the file. */
function cellsOf(text: string): string[] | string {
  try {
    const records: string[][] = parse(text, { record_delimiter: '\n' });
    return records[0] ?? [];
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    return error.code === 'CSV_QUOTE_NOT_CLOSED'
      ? 'a quote is not closed in this line'
      : 'a cell contains a quote: put the whole cell in quotes, and double each quote in it';
  }
}

function requireHeader(line: number, cells: string[] | string): readonly string[] {
  if (typeof cells === 'string') throw badHeader(line, cells);
  const known = importFields.join(',');
  const unknown = cells.find((name) => !(importFields as readonly string[]).includes(name));
  if (unknown !== undefined) {
    throw badHeader(
      line,
      `the column ${nameInError(unknown)} is unknown; known columns, separated by commas: ${known}`,
    );
  }
  const duplicate = cells.find((name, index) => cells.indexOf(name) !== index);
  if (duplicate !== undefined) throw badHeader(line, `the column '${duplicate}' appears twice`);
  if (!cells.includes('email')) throw badHeader(line, "the column 'email' is missing");
  return cells;
}

function badHeader(line: number, problem: string): CommandFailure {
  return new CommandFailure(
    exitCodes.refused,
    `line ${line}: ${problem}`,
    'The first line of a CSV file must name its columns. Nothing was changed.',
  );
}

function readRow(columns: readonly string[], cells: readonly string[]): ImportRow | UnreadableRow {
  if (cells.length !== columns.length) {
    return {
      unreadable: `the line has ${cells.length} cells, the header ${columns.length}; put a cell that contains a comma in quotes`,
    };
  }
  const cell = (name: (typeof importFields)[number]) => cells[columns.indexOf(name)] ?? '';
  const disabled = BOOLEANS.get(cell('disabled').toLowerCase());
  if (disabled === undefined) return { unreadable: 'disabled: must be true or false' };
  return {
    email: cell('email'),
    passwordHash: cell('password_hash') || null,
    roles: cell('roles')
      .split(ROLE_SEPARATOR)
      .filter((role) => role !== ''),
    disabled,
    id: cell('id') || null,
    externalId: cell('external_id') || null,
  };
}
