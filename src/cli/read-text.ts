import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';

const DEFAULT_MAX_BYTES = 64 * 1024;

/**
 * All of a stream as text, at most 64 KiB unless said otherwise. Bytes that are not UTF-8 are refused rather than
 * replaced: two different passwords must not become one. `what` names it in errors: `the token`.
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
      throw refused(`${what} is longer than ${maxBytes / 1024} KiB`, 'Check where it comes from.');
    chunks.push(bytes);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch {
    throw refused(`${what} is not UTF-8 text`, 'Check where it comes from.');
  }
}

/** The text of a file named on the command line. */
export async function readTextFile(path: string, what: string, maxBytes?: number): Promise<string> {
  try {
    return await readText(createReadStream(path), what, maxBytes);
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw refused(`${what} cannot be read from its file (${code})`, 'Check the path and who may read it.');
  }
}

/** Without the one newline that editors and `echo` put at the end. */
export function withoutLastNewline(text: string): string {
  return text.replace(/\r?\n$/, '');
}

function refused(message: string, advice: string): CommandFailure {
  return new CommandFailure(exitCodes.refused, message, advice);
}
