import { constants } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { SecureContextOptions } from 'node:tls';

import { decodeText } from '../../domain/decode-text.ts';
import { errorText } from '../../domain/error-text.ts';
import { UntrustedPath, requireTrustedPath } from '../../domain/trusted-path.ts';
import { certificateFaults, type CertificateFiles, dnsNamesOf, type FileNames } from './certificate-files.ts';
import { chainExpiryMs, rootsWith } from './chain-expiry.ts';
import { ExpiryWarning } from './expiry-warning.ts';

/** Interval of polling for new files. File system events are missing on network mounts and when a symbolic link is swapped. */
const CHECK_INTERVAL_MS = 10_000;
/** A peer that has not completed the TLS handshake by then is disconnected. */
export const HANDSHAKE_LIMIT_MS = 10_000;

/** Certificate events for the log. */
export type TlsEvent =
  | { readonly kind: 'reloaded'; readonly expiresAtMs: number }
  /** The new files cannot be used; the previous certificate stays in use. */
  | { readonly kind: 'unusable'; readonly faults: readonly string[] }
  | { readonly kind: 'expiring'; readonly expiresAtMs: number };

/** The paths of a server's TLS files. */
export interface ServerTlsPaths extends CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

const SETTING_NAMES: FileNames = {
  cert: 'POSTERN_TLS_CERT',
  key: 'POSTERN_TLS_KEY',
  ca: 'POSTERN_TLS_CLIENT_CA',
};

/**
 * The TLS files of both listeners. New files are loaded without closing connections. Unusable files are reported once and
 * change nothing.
 */
export class ServerTls {
  readonly requiresClientCertificate: boolean;
  readonly #paths: ServerTlsPaths;
  readonly #report: (event: TlsEvent) => void;
  readonly #listeners = new Set<(context: SecureContextOptions) => void>();
  readonly #timer: NodeJS.Timeout;
  #files: CertificateFiles;
  #dnsNames: readonly string[] | null = null;
  #reportedFaults: string | null = null;
  readonly #expiryWarning: ExpiryWarning;
  #checking: Promise<void> = Promise.resolve();

  /** @throws Error when the files cannot be used */
  static async open(paths: ServerTlsPaths, report: (event: TlsEvent) => void): Promise<ServerTls> {
    const files = await readFiles(paths);
    const faults = certificateFaults(files, SETTING_NAMES);
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

  /** The TLS options for new connections. */
  get context(): SecureContextOptions {
    const { cert, key, ca } = this.#files;
    return {
      minVersion: 'TLSv1.2',
      cert: cert ?? undefined,
      key: key ?? undefined,
      ...(ca !== null && {
        ca,
        // A resumed session would skip verification of the client certificate, which may have expired meanwhile.
        secureOptions: constants.SSL_OP_NO_TICKET,
      }),
    };
  }

  /** When the chain that peers use stops being valid, Unix time in ms. */
  get expiresAtMs(): number {
    return expiryOf(this.#files);
  }

  /** The DNS names of the certificate in use, in lower case; a wildcard begins with `*.`. */
  get dnsNames(): readonly string[] {
    return (this.#dnsNames ??= dnsNamesOf(this.#files.cert ?? ''));
  }

  /** Calls the listener with each new context. @returns a function that unsubscribes */
  subscribe(listener: (context: SecureContextOptions) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Checks the files now. */
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
    const faults = certificateFaults(files, SETTING_NAMES);
    if (faults.length > 0 || expiryOf(files) > Date.now() || this.expiresAtMs <= Date.now()) return faults;
    return [`${SETTING_NAMES.cert} has expired, and the certificate in use has not`];
  }

  #reportFaults(faults: string[]): void {
    const faultText = faults.join('\n');
    if (faultText !== this.#reportedFaults) this.#report({ kind: 'unusable', faults });
    this.#reportedFaults = faultText;
  }

  #apply(files: CertificateFiles): void {
    this.#reportedFaults = null;
    const { cert, key, ca } = this.#files;
    if (files.cert === cert && files.key === key && files.ca === ca) return;
    this.#files = files;
    this.#dnsNames = null;
    for (const listener of this.#listeners) listener(this.context);
    this.#report({ kind: 'reloaded', expiresAtMs: this.expiresAtMs });
  }
}

function expiryOf({ cert, ca }: CertificateFiles): number {
  return chainExpiryMs(cert ?? '', Date.now(), rootsWith(ca));
}

async function readFiles({ cert, key, ca }: ServerTlsPaths): Promise<CertificateFiles> {
  const [certText, keyText, caText] = await Promise.all([
    readNamed(SETTING_NAMES.cert, cert),
    readNamed(SETTING_NAMES.key, key),
    ca === null ? null : readNamed(SETTING_NAMES.ca, ca),
  ]);
  return { cert: certText, key: keyText, ca: caText };
}

async function readNamed(name: string, path: string): Promise<string> {
  try {
    requireTrustedPath(path, 'root');
    return decodeText(await readFile(path));
  } catch (error) {
    if (error instanceof UntrustedPath)
      throw new Error(`${name} can be changed by others: ${error.message}`, { cause: error });
    throw new Error(`${name} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'not text'})`, {
      cause: error,
    });
  }
}
