import { constants, type FileHandle, open } from 'node:fs/promises';

/** A file that is not what its setting says: a folder, a named pipe, or one that has no end, such as /dev/zero. */
export class UnusableFile extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnusableFile';
  }
}

/**
 * The content of a regular file of at most `maxBytes`. A large file is not read to its end, and opening a named pipe does not
 * wait for its writer: a file that is read again and again must stop neither its reader nor the program.
 *
 * @throws UnusableFile, or the error of the file system
 */
export async function readBoundedFile(path: string, maxBytes: number): Promise<Buffer> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!(await file.stat()).isFile()) throw new UnusableFile('is not a regular file');
    const buffer = Buffer.alloc(maxBytes + 1);
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    if (length > maxBytes) throw new UnusableFile(`is larger than ${maxBytes} bytes`);
    return buffer.subarray(0, length);
  } finally {
    await file?.close();
  }
}
