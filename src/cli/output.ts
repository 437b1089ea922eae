import { exitCodes } from './exit-codes.ts';

/** Standard output is data: these lines, and nothing else, are what a pipe receives. */
export function printLines(lines: readonly string[]): void {
  process.stdout.write(lines.map((line) => `${visibleText(line)}\n`).join(''));
}

/** One JSON document on one line. */
export function printJson(document: unknown): void {
  process.stdout.write(`${visibleText(JSON.stringify(document))}\n`);
}

/** A table for the eye, its columns as wide as they need to be; without rows, only the headings. */
export function printTable(headings: readonly string[], rows: readonly (readonly string[])[]): void {
  const cells = [headings, ...rows].map((row) => row.map(visibleText));
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

/** Standard error is talk: progress, hints, failures. What it does not take is lost, and decides nothing. */
export function tell(...lines: readonly string[]): void {
  process.stderr.write(lines.map((line) => `${visibleText(line)}\n`).join(''));
}

/**
 * A reader that has seen enough (`postern … | head`) closes the pipe; what is written then is lost, as it should be. Data
 * that a full disk does not take makes the command one that failed.
 */
export function outliveClosedPipes(): void {
  process.stderr.on('error', () => undefined);
  process.stdout.on('error', ({ code = 'unknown' }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE' || code === 'ECONNRESET') return;
    tell(
      `postern: standard output could not be written (${code}), so that some of the answer is lost`,
      'What the command changed stays changed. Make room before the next one.',
    );
    process.exitCode = exitCodes.unexpected;
  });
}

/**
 * Control characters, and those that turn the direction of writing. A terminal obeys them, so a claim, an e-mail
 * address or a user agent that holds them could rewrite what its reader sees, or type for him.
 */
const UNSEEN = /[\p{Cc}\p{Cs}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/** The text with each such character spelt as its `\u` escape, which JSON reads back as the same text. */
export function visibleText(text: string): string {
  return text.replace(UNSEEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
