import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

/** The files of one side of TLS, as PEM text; absent is null. */
export interface CertificateFiles<Content = string> {
  /** The certificate of this side, then those between it and the authority. */
  readonly cert: Content | null;
  readonly key: Content | null;
  /** The authorities that the other side's certificate must come from. */
  readonly ca: Content | null;
}

/** What each file is called where a fault is told. */
export type FileNames = Readonly<Record<keyof CertificateFiles, string>>;

const BEGIN = '-----BEGIN CERTIFICATE-----';
const END = '-----END CERTIFICATE-----';

/** Why these files cannot serve TLS, one line each that begins with a file's name; none when they can. */
export function certificateFaults({ cert, key, ca }: CertificateFiles, names: FileNames): string[] {
  const faults: string[] = [];
  const chain = cert === null ? null : valueOrError(() => parseCertificates(cert));
  if (chain instanceof Error) faults.push(`${names.cert} ${chain.message}`);
  const privateKey = key === null ? null : valueOrError(() => parsePrivateKey(key));
  if (privateKey instanceof Error) faults.push(`${names.key} ${privateKey.message}`);
  const authorities = ca === null ? null : valueOrError(() => parseCertificates(ca));
  if (authorities instanceof Error) faults.push(`${names.ca} ${authorities.message}`);
  if (faults.length > 0 || chain === null || privateKey === null) return faults;
  if (!(chain as X509Certificate[])[0]?.checkPrivateKey(privateKey as KeyObject)) {
    return [
      `${names.key} is not the key of the first certificate in ${names.cert}; use a certificate and a key that belong together`,
    ];
  }
  // The last word is OpenSSL's: it also refuses what is too weak.
  const context = valueOrError(() => createSecureContext({ cert: cert ?? undefined, key: key ?? undefined }));
  return context instanceof Error ? [`${names.cert} is refused by OpenSSL (${context.message})`] : [];
}

/** When the first of a file's certificates ends, Unix time in ms. The text must be known to be good. */
export function expiryMs(pem: string): number {
  return Math.min(...parseCertificates(pem).map(({ validTo }) => Date.parse(validTo)));
}

function parseCertificates(pem: string): X509Certificate[] {
  const blocks = certificateBlocks(pem);
  if (blocks.length === 0)
    throw new Error('holds no certificate; use a PEM file that contains BEGIN CERTIFICATE');
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    throw new Error('holds a certificate that cannot be parsed; replace the file');
  }
}

/** Read from front to back once: a BEGIN without its END ends the search. */
function certificateBlocks(pem: string): string[] {
  const blocks: string[] = [];
  for (let begin = pem.indexOf(BEGIN); begin >= 0;) {
    const end = pem.indexOf(END, begin);
    if (end < 0) break;
    blocks.push(pem.slice(begin, end + END.length));
    begin = pem.indexOf(BEGIN, end + END.length);
  }
  return blocks;
}

function parsePrivateKey(pem: string): KeyObject {
  if (/ENCRYPTED/.test(pem))
    throw new Error('is locked with a passphrase; store it without one, readable only by the service');
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Error('holds no private key; use a PEM file that contains BEGIN PRIVATE KEY');
  }
}

function valueOrError<Value>(read: () => Value): Value | Error {
  try {
    return read();
  } catch (error) {
    return error as Error;
  }
}
