import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';

const DEFAULT_MAX_BYTES = 64 * 1024;

/**
 * Reads a whole stream as text, up to 64 KiB by default. Bytes that are not UTF-8 are refused rather than replaced: two
 * different passwords must not become one.
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
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
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

/** Removes one newline at the end, as editors and `echo` add it. */
export function removeFinalNewline(text: string): string {
  return text.replace(/\r?\n$/, '');
}

function refused(message: string, advice: string): CommandFailure {
  return new CommandFailure(exitCodes.refused, message, advice);
}
