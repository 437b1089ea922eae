import { checkServerIdentity, type PeerCertificate, type TLSSocket } from 'node:tls';

import type { DatabaseTls } from '../../net/database-url.ts';

/** The certificate of the database server is not accepted. The message says which certificate, and why. */
export class CertificateRefused extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'CertificateRefused';
  }
}

/** TLS with the database server failed before there was a certificate to judge, or a file for it cannot be used. */
export class TlsFailed extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'TlsFailed';
  }
}

const MAX_NAME_LENGTH = 200;
const UNKNOWN_ISSUER =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?|UNABLE_TO_VERIFY_LEAF_SIGNATURE|CERT_UNTRUSTED)$/;

/**
 * Checks the certificate of a server as far as `sslmode` demands, before anything is sent to it.
 *
 * @param socket has completed its handshake
 * @throws CertificateRefused
 */
export function requireCertificate(socket: TLSSocket, tls: DatabaseTls, host: string, port: number): void {
  // libpq verifies the chain whenever it has authorities, and the name in verify-full only.
  if (tls.rootCert === undefined) return;
  const certificate = socket.getPeerCertificate(true);
  const which = `the certificate of the database server ${host}:${port} (${describe(certificate)})`;
  if (!socket.authorized) {
    // Typed as an Error, but a code.
    const code = String(socket.authorizationError);
    throw new CertificateRefused(`${which} ${whyRefused(code, certificate, tls.rootCert, Date.now())}`);
  }
  if (tls.mode !== 'verify-full') return;
  if (checkServerIdentity(host, certificate) !== undefined) {
    const { subjectaltname, subject }: { subjectaltname?: string; subject: { CN?: string } } = certificate;
    const names = subjectaltname ?? (subject.CN === undefined ? 'no host' : `CN=${subject.CN}`);
    throw new CertificateRefused(`${which} is not for ${host}; it is for ${printable(names)}`);
  }
}

function whyRefused(code: string, leaf: PeerCertificate, rootCert: string, nowMs: number): string {
  if (code === 'CERT_HAS_EXPIRED') {
    const expired = chainOf(leaf).find(({ valid_to }) => Date.parse(valid_to) <= nowMs) ?? leaf;
    if (expired === leaf) return `expired on ${day(leaf.valid_to)}`;
    return `has an issuer whose certificate expired on ${day(expired.valid_to)} (${describe(expired)})`;
  }
  if (code === 'CERT_NOT_YET_VALID') return `is not valid before ${day(leaf.valid_from)}`;
  if (UNKNOWN_ISSUER.test(code)) {
    const trusted = rootCert === 'system' ? 'that Node.js trusts' : 'in sslrootcert';
    return `is not signed by an authority ${trusted} (${code})`;
  }
  return `is not accepted (${code})`;
}

/** The certificate and those of its issuers, as the server sent them. */
function chainOf(leaf: PeerCertificate): PeerCertificate[] {
  const chain: PeerCertificate[] = [];
  let next: Partial<PeerCertificate> | undefined = leaf;
  // A self-signed certificate is its own issuer.
  while (next?.valid_to !== undefined && !chain.includes(next as PeerCertificate)) {
    chain.push(next as PeerCertificate);
    next = (next as { issuerCertificate?: PeerCertificate }).issuerCertificate;
  }
  return chain;
}

function describe({ subject, issuer, valid_to }: Partial<PeerCertificate>): string {
  const name = (of?: { CN?: string; O?: string }) => printable(of?.CN ?? of?.O ?? 'nobody');
  return `of ${name(subject)}, issued by ${name(issuer)}, valid until ${day(valid_to ?? '')}`;
}

function day(date: string): string {
  const ms = Date.parse(date);
  return Number.isNaN(ms) ? 'an unknown day' : new Date(ms).toISOString().slice(0, 10);
}

/** The names come from the server: cut, and without characters that a terminal interprets. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_NAME_LENGTH);
}
