import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';

import { decodeText, NotText } from '../domain/decode-text.ts';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';

const DEFAULT_MAX_BYTES = 64 * 1024;

/**
 * Reads a whole stream as text, as `decodeText` does, up to 64 KiB by default.
 *
 * @param what names the text in errors, for example `the token`
 */
export async function readText(
  stream: Readable,
  what: string,
  maxBytes = DEFAULT_MAX_BYTES,
): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : (chunk as Uint8Array);
    size += bytes.length;
    if (size > maxBytes)
      throw refused(`${what} is larger than ${maxBytes / 1024} KiB`, 'Check where it comes from.');
    chunks.push(bytes);
  }
  try {
    return decodeText(Buffer.concat(chunks));
  } catch (error) {
    if (!(error instanceof NotText)) throw error;
    throw refused(`${what} is not UTF-8 text`, 'Check where it comes from.');
  }
}

/** Reads a file named on the command line, like `readText`. */
export async function readTextFile(path: string, what: string, maxBytes?: number): Promise<string> {
  try {
    return await readText(createReadStream(path), what, maxBytes);
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw refused(`${what} cannot be read from its file (${code})`, 'Check the path and its permissions.');
  }
}

function refused(message: string, advice: string): CommandFailure {
  return new CommandFailure(exitCodes.refused, message, advice);
}
