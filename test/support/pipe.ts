import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A named pipe: written data stays in it until it is read. */
export interface Pipe {
  /** A file descriptor for a child, blocking like a pipe of a shell. */
  readonly writer: number;
  /** Reads what is in it now, up to a number of bytes. */
  read(maxBytes?: number): string;
  /** Closes the reader, and opens it again. */
  abandon(): void;
  attend(): void;
  close(): void;
}

export function openPipe(): Pipe {
  const folder = mkdtempSync(join(tmpdir(), 'postern-pipe-'));
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  const attend = () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  let reader: number | null = attend();
  const writer = openSync(path, constants.O_WRONLY);
  const abandon = () => {
    if (reader !== null) closeSync(reader);
    reader = null;
  };
  return {
    writer,
    read(maxBytes = Infinity) {
      const chunks: Buffer[] = [];
      const chunk = Buffer.alloc(65_536);
      for (let left = maxBytes; left > 0;) {
        try {
          const read = readSync(reader ?? -1, chunk, 0, Math.min(left, chunk.length), null);
          if (read === 0) break;
          chunks.push(Buffer.from(chunk.subarray(0, read)));
          left -= read;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
          break;
        }
      }
      return Buffer.concat(chunks).toString('utf8');
    },
    abandon,
    attend() {
      reader ??= attend();
    },
    close() {
      abandon();
      closeSync(writer);
      rmSync(folder, { recursive: true });
    },
  };
}
