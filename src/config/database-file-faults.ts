import type { Secret } from '../domain/secret.ts';
import { UntrustedPath } from '../domain/trusted-path.ts';
import { mayUseTls, parseDatabaseUrl } from '../net/database-url.ts';
import { certificateFaults } from '../net/tls/certificate-files.ts';

/**
 * Why the TLS files of the database URL cannot be used. Each is a fault of the settings: waiting for the database does not
 * bring a file. libpq goes on without verification when `sslrootcert` is missing in a weaker mode than `verify-ca`.
 *
 * @param url a valid URL, or null
 */
export function databaseFileFaults(url: Secret | null, readFile: (path: string) => string): string[] {
  if (url === null) return [];
  const { tls, hosts } = parseDatabaseUrl(url.reveal());
  if (tls.mode === 'disable' || !hosts.some(mayUseTls)) return [];
  const faults: string[] = [];
  const textIn = (parameter: string, path: string | undefined) => {
    if (path === undefined || path === 'system') return null;
    try {
      return readFile(path);
    } catch (error) {
      faults.push(`DATABASE_URL has ${parameter} with a file that ${readFault(error)}`);
      return null;
    }
  };
  const ca = textIn('sslrootcert', tls.rootCert);
  const cert = textIn('sslcert', tls.cert);
  const key = textIn('sslkey', tls.key);
  const names = {
    cert: 'DATABASE_URL: the file of sslcert',
    key: 'DATABASE_URL: the file of sslkey',
    ca: 'DATABASE_URL: the file of sslrootcert',
  };
  return [...faults, ...certificateFaults({ cert, key, ca, passphrase: tls.passphrase }, names)];
}

/** Why a file cannot be read; completes a sentence that begins with its name. */
export function readFault(error: unknown): string {
  if (error instanceof UntrustedPath) return `can be changed by others: ${error.message}`;
  const { code = 'not text' } = error as NodeJS.ErrnoException;
  return `cannot be read (${code}); check the path and the file's permissions`;
}
