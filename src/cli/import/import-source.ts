import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { addAbortSignal, type Readable } from 'node:stream';

import { CommandFailure } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';

/** The bytes of an import file, and how much of it has been read. */
export interface ImportSource {
  readonly chunks: AsyncIterable<Buffer>;
  /** From 0 to 1; undefined for a pipe, whose length nobody knows. */
  progress(): number | undefined;
}

/** Opens a file, or standard input for `-`. When `stop` aborts, the chunks end with an error of exit code 130. */
export async function openImportSource(path: string, stop: AbortSignal): Promise<ImportSource> {
  if (path === '-' && process.stdin.isTTY) {
    throw new CommandFailure(exitCodes.wrongUse, 'standard input is a terminal', 'Pipe a file in.');
  }
  let bytesRead = 0;
  const bytes = path === '-' ? undefined : await sizeOf(path);
  return {
    chunks: readAll(path, stop, (chunkBytes) => (bytesRead += chunkBytes)),
    progress: () => (bytes === undefined || bytes === 0 ? undefined : Math.min(bytesRead / bytes, 1)),
  };
}

async function* readAll(
  path: string,
  stop: AbortSignal,
  onRead: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  const stream: Readable = path === '-' ? process.stdin : createReadStream(path);
  try {
    for await (const chunk of addAbortSignal(stop, stream) as AsyncIterable<Buffer>) {
      onRead(chunk.length);
      yield chunk;
    }
  } catch (error) {
    throw stop.aborted ? interrupted() : unreadable(error);
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch (error) {
    throw unreadable(error);
  }
}

function interrupted(): CommandFailure {
  return new CommandFailure(
    exitCodes.interrupted,
    'interrupted',
    'Running it again skips the users that exist.',
  );
}

function unreadable(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  return new CommandFailure(
    exitCodes.refused,
    `the file cannot be read (${code})`,
    'Check the path and who may read it.',
  );
}
