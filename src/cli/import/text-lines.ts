import { isUtf8 } from 'node:buffer';

import { utf16Order, withoutByteOrderMark, withoutFinalLineEnds } from '../../domain/decode-text.ts';
import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';

/** More than any row needs. A file without line breaks must not fill the memory. */
const MAX_LINE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** A line of a text file with its number, counted from 1, or why it cannot be read. */
export type TextLine =
  { readonly line: number; readonly text: string } | { readonly line: number; readonly unreadable: string };

/**
 * Splits a file into lines, without line breaks (LF or CRLF) and without byte order marks, of which a file that was put
 * together from several has several. Only one line is in memory at a time. A line that is not UTF-8 is reported rather than
 * repaired: two different names must not become one. UTF-16 with a byte order mark is read as well.
 *
 * @throws CommandFailure for UTF-16 that is not well-formed: where its lines end is uncertain
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
  for await (const chunk of utf8Chunks(chunks)) {
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
  return { line, text: withoutFinalLineEnds(withoutByteOrderMark(bytes.toString('utf8'))) };
}

/** The same bytes, or the text of UTF-16 in UTF-8. */
async function* utf8Chunks(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let start: Buffer | null = Buffer.alloc(0);
  let decoder: Utf16Decoder | null = null;
  for await (const chunk of chunks) {
    if (start === null) {
      yield decoder === null ? chunk : decoder.decode(chunk);
      continue;
    }
    start = Buffer.concat([start, chunk]);
    if (start.length < 2) continue;
    const order = utf16Order(start);
    decoder = order === null ? null : new Utf16Decoder(order);
    yield decoder === null ? start : decoder.decode(start);
    start = null;
  }
  if (start !== null) yield start;
  if (decoder !== null) yield decoder.end();
}

class Utf16Decoder {
  readonly #decoder = new TextDecoder('utf-16le', { fatal: true, ignoreBOM: true });
  readonly #order: 'le' | 'be';
  /** An odd byte at the end of a chunk. */
  #rest = Buffer.alloc(0);

  constructor(order: 'le' | 'be') {
    this.#order = order;
  }

  decode(chunk: Buffer): Buffer {
    const bytes = Buffer.concat([this.#rest, chunk]);
    const length = bytes.length - (bytes.length % 2);
    this.#rest = bytes.subarray(length);
    const units = bytes.subarray(0, length);
    return this.#utf8(this.#order === 'le' ? units : units.swap16(), { stream: true });
  }

  /** What is left at the end of the file. */
  end(): Buffer {
    return this.#utf8(this.#rest);
  }

  #utf8(units: Uint8Array, options?: { stream: boolean }): Buffer {
    try {
      return Buffer.from(this.#decoder.decode(units, options));
    } catch {
      throw new CommandFailure(
        exitCodes.refused,
        'the file is not well-formed UTF-16 text',
        'Save it as UTF-8, and run the command again: users that exist are skipped.',
      );
    }
  }
}
