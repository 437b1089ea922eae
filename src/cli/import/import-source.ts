import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { addAbortSignal, type Readable } from 'node:stream';

import { CommandFailure, wrongUse } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';

/** The bytes of an import file, and how much of it has been read. */
export interface ImportSource {
  readonly chunks: AsyncIterable<Buffer>;
  /** From 0 to 1; undefined for a pipe, whose length is unknown. */
  progress(): number | undefined;
}

/** Opens a file, or standard input for `-`. When `stop` aborts, the chunks end with a failure with exit code 130. */
export async function openImportSource(path: string, stop: AbortSignal): Promise<ImportSource> {
  if (path === '-' && process.stdin.isTTY) {
    throw wrongUse('standard input is a terminal', 'Pipe a file in.');
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
    const stats = await stat(path);
    return stats.isFile() ? stats.size : undefined;
  } catch (error) {
    throw unreadable(error);
  }
}

function interrupted(): CommandFailure {
  return new CommandFailure(
    exitCodes.interrupted,
    'interrupted',
    'Run the command again to continue: users that exist are skipped.',
  );
}

function unreadable(error: unknown): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  return new CommandFailure(
    exitCodes.refused,
    `the file cannot be read (${code})`,
    'Check the path and its permissions.',
  );
}
