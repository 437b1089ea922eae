import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { decodeText, NotText } from '../../domain/decode-text.ts';
import { UntrustedPath, requireTrustedPath } from '../../domain/trusted-path.ts';
import { makeFolder } from '../../database/embedded/data-directory.ts';
import { DataDirectoryError } from '../../database/embedded/embedded-postgres-error.ts';

const MASTER_KEY_BYTES = 32;

/**
 * Reads the master key of embedded mode from `<dataDir>/master.key` (base64, mode 0600). The file lies beside the
 * database that it protects, which is why production sets its own master key.
 *
 * @param createIfMissing whether a missing file is created with a new key
 * @returns 32 bytes in base64
 * @throws DataDirectoryError when the file cannot be read, created or trusted, or is missing and must not be created
 */
export function readMasterKeyFile(dataDir: string, createIfMissing: boolean): string {
  const path = join(dataDir, 'master.key');
  let text: string | null;
  try {
    text = createIfMissing ? readOrCreate(dataDir, path) : readIfExists(path);
  } catch (cause) {
    if (cause instanceof UntrustedPath)
      throw new DataDirectoryError(`the master key cannot be used: ${cause.message}.`, { cause });
    if (cause instanceof NotText) throw damaged(path);
    const code = String((cause as NodeJS.ErrnoException).code);
    throw new DataDirectoryError(
      `the master key ${path} cannot be read or created (${code}). Check its permissions and the free space.`,
      { cause },
    );
  }
  if (text === null) throw new DataDirectoryError(`${path} is missing. Restore it from a backup.`);
  if (Buffer.from(text, 'base64').length === MASTER_KEY_BYTES) return text;
  throw damaged(path);
}

function damaged(path: string): DataDirectoryError {
  return new DataDirectoryError(`${path} no longer contains a master key. Restore it from a backup.`);
}

function readOrCreate(dataDir: string, path: string): string {
  makeFolder(resolve(dataDir));
  requireTrustedPath(dataDir, 'anyone');
  const found = readIfExists(path);
  if (found !== null) return found;
  // Written to another name and then linked: two simultaneous first starts agree on one key, and neither reads a
  // half-written file.
  const draft = `${path}.${process.pid}`;
  rmSync(draft, { force: true });
  writeFileSync(draft, `${randomBytes(MASTER_KEY_BYTES).toString('base64')}\n`, { mode: 0o600, flag: 'wx' });
  try {
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft);
  }
  return decodeText(readFileSync(path)).trim();
}

function readIfExists(path: string): string | null {
  try {
    requireTrustedPath(path, 'anyone');
    return decodeText(readFileSync(path)).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
