import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

import { errorText } from '../../domain/error-text.ts';
import { alternativeNamesOf } from '../certificate-identity.ts';

/** The files of one TLS endpoint, as PEM text; null when absent. */
export interface CertificateFiles<Content = string> {
  /** The certificate of this endpoint, followed by the intermediate certificates. */
  readonly cert: Content | null;
  readonly key: Content | null;
  /** The authorities that may issue the peer's certificate. */
  readonly ca: Content | null;
  /** Of the key. */
  readonly passphrase?: string | undefined;
}

/** The names of the files in fault messages. */
export type FileNames = Readonly<Record<'cert' | 'key' | 'ca', string>>;

const BEGIN = '-----BEGIN CERTIFICATE-----';
const END = '-----END CERTIFICATE-----';

/** Why these files cannot be used for TLS; none when they can. Each fault is one line that begins with the name of a file. */
export function certificateFaults(
  { cert, key, ca, passphrase }: CertificateFiles,
  names: FileNames,
): string[] {
  const faults: string[] = [];
  const chain = parseOrReport(cert, parseCertificates, names.cert, faults);
  const privateKey = parseOrReport(key, (pem) => parsePrivateKey(pem, passphrase), names.key, faults);
  parseOrReport(ca, parseCertificates, names.ca, faults);
  if (faults.length > 0 || chain === null || privateKey === null) return faults;
  if (!chain[0]?.checkPrivateKey(privateKey)) {
    return [
      `${names.key} is not the key of the first certificate in ${names.cert}; use a certificate and a key that belong together`,
    ];
  }
  try {
    // OpenSSL also refuses weak keys and signatures.
    createSecureContext({ cert: cert ?? undefined, key: key ?? undefined, passphrase });
    return [];
  } catch (error) {
    return [`${names.cert} is refused by OpenSSL (${errorText(error)})`];
  }
}

/** The certificates in a file, in its order. @throws Error when there is none, or one that cannot be parsed */
export function parseCertificates(pem: string): X509Certificate[] {
  const blocks = certificateBlocks(pem);
  if (blocks.length === 0)
    throw new Error('holds no certificate; use a PEM file that contains BEGIN CERTIFICATE');
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    throw new Error('holds a certificate that cannot be parsed; replace the file');
  }
}

/** The DNS names of the first certificate in a file, in lower case; a wildcard begins with `*.`. */
export function dnsNamesOf(pem: string): string[] {
  const [certificate] = parseCertificates(pem);
  return alternativeNamesOf(certificate?.subjectAltName ?? '').flatMap(([kind, name]) =>
    kind === 'DNS' && /^(?:\*\.)?[\w.-]+$/.test(name) ? [name.toLowerCase()] : [],
  );
}

/** Single pass in linear time: a BEGIN without an END stops the search. */
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

function parsePrivateKey(pem: string, passphrase: string | undefined): KeyObject {
  const isLocked = /ENCRYPTED/.test(pem);
  if (isLocked && passphrase === undefined)
    throw new Error('is locked with a passphrase; store it without one, readable only by the service');
  try {
    return createPrivateKey({ key: pem, passphrase });
  } catch {
    if (isLocked) throw new Error('does not open with its passphrase; correct the passphrase, or the file');
    throw new Error('holds no private key; use a PEM file that contains BEGIN PRIVATE KEY');
  }
}

/** Null for an absent file, and for a faulty one, whose fault is added to `faults`. */
function parseOrReport<Value>(
  pem: string | null,
  parse: (pem: string) => Value,
  name: string,
  faults: string[],
): Value | null {
  if (pem === null) return null;
  try {
    return parse(pem);
  } catch (error) {
    faults.push(`${name} ${errorText(error)}`);
    return null;
  }
}
