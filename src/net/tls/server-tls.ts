import { constants } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { SecureContextOptions } from 'node:tls';

import { errorText } from '../../domain/error-text.ts';
import { UntrustedPath, requireTrustedPath } from '../../domain/trusted-path.ts';
import { certificateFaults, type CertificateFiles, expiryMs, type FileNames } from './certificate-files.ts';
import { ExpiryWarning } from './expiry-warning.ts';

/** How soon new files are noticed. Not by the kernel's word: it is silent on network mounts and when a link is swapped. */
const CHECK_INTERVAL_MS = 10_000;
/** A peer that has not said its hello by then is holding a socket, no more. */
export const HANDSHAKE_LIMIT_MS = 10_000;

/** What the log gets to know of certificates. */
export type TlsEvent =
  | { readonly kind: 'reloaded'; readonly expiresAtMs: number }
  /** New files that are of no use; the certificate before them goes on. */
  | { readonly kind: 'unusable'; readonly faults: readonly string[] }
  | { readonly kind: 'expiring'; readonly expiresAtMs: number };

/** The files of a server, by path. */
export interface ServerTlsPaths extends CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

const names: FileNames = {
  cert: 'POSTERN_TLS_CERT',
  key: 'POSTERN_TLS_KEY',
  ca: 'POSTERN_TLS_CLIENT_CA',
};

/**
 * The certificate of both listeners. New files are taken up while connections go on; files of no use are reported once
 * and change nothing.
 */
export class ServerTls {
  readonly requiresClientCertificate: boolean;
  readonly #paths: ServerTlsPaths;
  readonly #report: (event: TlsEvent) => void;
  readonly #listeners = new Set<(context: SecureContextOptions) => void>();
  readonly #timer: NodeJS.Timeout;
  #files: CertificateFiles;
  #reportedFaults: string | null = null;
  readonly #expiryWarning: ExpiryWarning;
  #checking: Promise<void> = Promise.resolve();

  /** @throws Error when the files cannot be used */
  static async open(paths: ServerTlsPaths, report: (event: TlsEvent) => void): Promise<ServerTls> {
    const files = await readFiles(paths);
    const faults = certificateFaults(files, names);
    if (faults.length > 0) throw new Error(faults.join('\n'));
    return new ServerTls(paths, files, report);
  }

  private constructor(paths: ServerTlsPaths, files: CertificateFiles, report: (event: TlsEvent) => void) {
    this.requiresClientCertificate = paths.ca !== null;
    this.#paths = paths;
    this.#files = files;
    this.#report = report;
    this.#expiryWarning = new ExpiryWarning((expiresAtMs) => report({ kind: 'expiring', expiresAtMs }));
    this.#expiryWarning.check(this.expiresAtMs);
    this.#timer = setInterval(() => void this.reload(), CHECK_INTERVAL_MS);
    this.#timer.unref();
  }

  /** What a new connection is met with. */
  get context(): SecureContextOptions {
    const { cert, key, ca } = this.#files;
    return {
      minVersion: 'TLSv1.2',
      cert: cert ?? undefined,
      key: key ?? undefined,
      ...(ca !== null && {
        ca,
        // A resumed session would skip the look at the client's certificate, which may have expired meanwhile.
        secureOptions: constants.SSL_OP_NO_TICKET,
      }),
    };
  }

  /** When the first certificate of the chain ends, Unix time in ms. */
  get expiresAtMs(): number {
    return expiryMs(this.#files.cert ?? '');
  }

  /** Calls with each new context from now on. @returns how to end that */
  subscribe(listener: (context: SecureContextOptions) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Looks at the files now. */
  reload(): Promise<void> {
    this.#checking = this.#checking.then(() => this.#check());
    return this.#checking;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<void> {
    let files: CertificateFiles | null = null;
    let faults: string[];
    try {
      files = await readFiles(this.#paths);
      faults = this.#faultsOf(files);
    } catch (error) {
      faults = [errorText(error)];
    }
    if (faults.length > 0) this.#reportFaults(faults);
    else if (files !== null) this.#apply(files);
    this.#expiryWarning.check(this.expiresAtMs);
  }

  #faultsOf(files: CertificateFiles): string[] {
    const faults = certificateFaults(files, names);
    if (faults.length > 0 || expiryMs(files.cert ?? '') > Date.now() || this.expiresAtMs <= Date.now())
      return faults;
    return [`${names.cert} has expired, and the certificate in use has not`];
  }

  #reportFaults(faults: string[]): void {
    const refused = faults.join('\n');
    if (refused !== this.#reportedFaults) this.#report({ kind: 'unusable', faults });
    this.#reportedFaults = refused;
  }

  #apply(files: CertificateFiles): void {
    this.#reportedFaults = null;
    const { cert, key, ca } = this.#files;
    if (files.cert === cert && files.key === key && files.ca === ca) return;
    this.#files = files;
    for (const listener of this.#listeners) listener(this.context);
    this.#report({ kind: 'reloaded', expiresAtMs: this.expiresAtMs });
  }
}

async function readFiles({ cert, key, ca }: ServerTlsPaths): Promise<CertificateFiles> {
  const [certText, keyText, caText] = await Promise.all([
    readNamed(names.cert, cert),
    readNamed(names.key, key),
    ca === null ? null : readNamed(names.ca, ca),
  ]);
  return { cert: certText, key: keyText, ca: caText };
}

async function readNamed(name: string, path: string): Promise<string> {
  try {
    requireTrustedPath(path, 'root');
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof UntrustedPath)
      throw new Error(`${name} can be changed by others: ${error.message}`, { cause: error });
    throw new Error(`${name} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'not text'})`, {
      cause: error,
    });
  }
}
