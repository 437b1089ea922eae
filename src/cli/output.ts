import { visibleText } from './visible-text.ts';

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

/** Standard error is talk: progress, hints, failures. */
export function tell(...lines: readonly string[]): void {
  process.stderr.write(lines.map((line) => `${visibleText(line)}\n`).join(''));
}

/**
 * A reader that has seen enough (`postern … | head`) closes the pipe. What is written then is lost, as it should be,
 * but must not end the command: `serve` goes on when nobody reads its one line any more.
 */
export function outliveClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  }
}
