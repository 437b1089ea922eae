import { exitCodes } from './exit-codes.ts';

/** Prints data to standard output, which carries nothing else: what a pipe receives. */
export function printLines(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${escapeControlCharacters(line)}\n`).join(''));
}

/** Prints one JSON document on one line. */
export function printJson(document: unknown): void {
  process.stdout.write(`${escapeControlCharacters(JSON.stringify(document))}\n`);
}

/** Prints a table with aligned columns; without rows, only the headings. */
export function printTable(headings: readonly string[], rows: readonly (readonly string[])[]): void {
  const cells = [headings, ...rows].map((row) => row.map(escapeControlCharacters));
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  printLines(
    cells.map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    ),
  );
}

/** Prints progress, hints and failures to standard error. A failed write is ignored: no result depends on these lines. */
export function printNotice(...lines: readonly string[]): void {
  process.stderr.write(lines.map((line) => `${escapeControlCharacters(line)}\n`).join(''));
}

/**
 * Handles write errors of standard output and standard error. A reader that has seen enough (`postern … | head`) closes the
 * pipe; the rest of the output is dropped without an error. Any other error, such as a full disk, makes the command fail.
 */
export function handleOutputErrors(): void {
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', ({ code = 'unknown' }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE' || code === 'ECONNRESET') return;
    printNotice(
      `postern: standard output could not be written (${code}); part of the output is lost`,
      'Changes that the command made are kept. Free some space before you run another command.',
    );
    process.exitCode = exitCodes.unexpected;
  });
}

/**
 * Control characters, and those that change the direction of text. A terminal interprets them, so a claim, an e-mail
 * address or a user agent that contains them could rewrite what is on the screen, or type as if from the keyboard.
 */
const CONTROL_CHARACTERS = /[\p{Cc}\p{Cs}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** Replaces each such character by its `\u` escape. JSON stays the same JSON. */
export function escapeControlCharacters(text: string): string {
  return text.replace(
    CONTROL_CHARACTERS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
