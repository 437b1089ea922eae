import { isUtf8 } from 'node:buffer';

/** More than any row needs. A file without line breaks must not fill the memory. */
const MAX_LINE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const BYTE_ORDER_MARK = '\ufeff';

/** A line of a text file with its number, counted from 1, or why it cannot be read. */
export type TextLine =
  { readonly line: number; readonly text: string } | { readonly line: number; readonly unreadable: string };

/**
 * Splits a file into lines, without line breaks (LF or CRLF) and without a byte order mark. Only one line is in memory at
 * a time. A line that is not UTF-8 is reported rather than repaired: two different names must not become one.
 */
export async function* textLines(chunks: AsyncIterable<Buffer>): AsyncGenerator<TextLine> {
  let line = 1;
  let parts: Buffer[] = [];
  let bytes = 0;
  const append = (part: Buffer) => {
    bytes += part.length;
    if (bytes <= MAX_LINE_BYTES) parts.push(part);
    else parts = [];
  };
  const finishLine = (): TextLine => {
    const read =
      bytes > MAX_LINE_BYTES
        ? { line, unreadable: `the line is longer than ${MAX_LINE_BYTES / 1024} KiB` }
        : toLine(line, Buffer.concat(parts));
    line += 1;
    parts = [];
    bytes = 0;
    return read;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      append(chunk.subarray(start, end));
      start = end + 1;
      yield finishLine();
    }
    append(chunk.subarray(start));
  }
  if (bytes > 0) yield finishLine();
}

function toLine(line: number, bytes: Buffer): TextLine {
  if (!isUtf8(bytes)) return { line, unreadable: 'the line is not UTF-8 text' };
  const text = bytes.toString('utf8', 0, bytes.at(-1) === CARRIAGE_RETURN ? bytes.length - 1 : bytes.length);
  return { line, text: line === 1 && text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text };
}
