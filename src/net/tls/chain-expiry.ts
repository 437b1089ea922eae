import type { X509Certificate } from 'node:crypto';
import * as tls from 'node:tls';

import { parseCertificates } from './certificate-files.ts';

/**
 * When the chain in a certificate file stops being valid, Unix time in ms: the first certificate, and of the others those
 * that a peer needs to verify it. A certificate that no peer needs does not count, even if it has expired: one that
 * issued nothing in the chain, a self-signed root, an old one beside a renewed one of the same key, and one whose issuing
 * key is also that of a public root (a cross-signed certificate, such as that of DST Root CA X3 in 2021).
 *
 * @param pem text that has passed `certificateFaults`
 * @param rootsOf the roots that peers know, by subject
 */
export function chainExpiryMs(
  pem: string,
  nowMs = Date.now(),
  rootsOf: (subject: string) => readonly X509Certificate[] = publicRoots,
): number {
  const [first, ...others] = parseCertificates(pem);
  return first === undefined ? NaN : new Chain(others, nowMs, rootsOf).expiryOf(first);
}

/** When each certificate of a file of CA certificates expires, Unix time in ms. */
export function certificateExpiriesMs(pem: string): number[] {
  return parseCertificates(pem).map(expiryOf);
}

class Chain {
  readonly #others: readonly X509Certificate[];
  readonly #nowMs: number;
  readonly #rootsOf: (subject: string) => readonly X509Certificate[];
  readonly #known = new Map<X509Certificate, number>();

  constructor(
    others: readonly X509Certificate[],
    nowMs: number,
    rootsOf: (subject: string) => readonly X509Certificate[],
  ) {
    this.#others = others;
    this.#nowMs = nowMs;
    this.#rootsOf = rootsOf;
  }

  /** The expiry of the longest valid path from this certificate upwards. Each certificate is computed once. */
  expiryOf(certificate: X509Certificate): number {
    const known = this.#known.get(certificate);
    if (known !== undefined) return known;
    const ownMs = expiryOf(certificate);
    // Two CAs may have certified each other: a path does not get longer by going in circles.
    this.#known.set(certificate, ownMs);
    const pathMs = Math.min(ownMs, this.#issuerExpiryOf(certificate));
    this.#known.set(certificate, pathMs);
    return pathMs;
  }

  /** Infinity where the path ends, because the peer's own root issued the certificate. */
  #issuerExpiryOf(certificate: X509Certificate): number {
    const issuers = this.#others.filter((other) => isIssuedBy(certificate, other));
    if (issuers.length === 0 || issuers.some((issuer) => isIssuedBy(issuer, issuer))) return Infinity;
    const issuerMs = Math.max(...issuers.map((issuer) => this.expiryOf(issuer)));
    if (issuerMs > this.#nowMs) return issuerMs;
    const isUnderRoot = this.#rootsOf(certificate.issuer).some(
      (root) => expiryOf(root) > this.#nowMs && isIssuedBy(certificate, root),
    );
    return isUnderRoot ? Infinity : issuerMs;
  }
}

function expiryOf({ validTo }: X509Certificate): number {
  return Date.parse(validTo);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** The public roots, and a server's own CA certificates: peers of one organisation know its root. */
export function rootsWith(ca: string | null): (subject: string) => readonly X509Certificate[] {
  if (ca === null) return publicRoots;
  return (subject) => [
    ...parseCertificates(ca).filter((certificate) => certificate.subject === subject),
    ...publicRoots(subject),
  ];
}

let roots: readonly X509Certificate[] | undefined;

/** Node's own roots, with those of NODE_EXTRA_CA_CERTS where this Node can list them. Parsed once, and only when needed. */
function publicRoots(subject: string): readonly X509Certificate[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: string) => readonly string[] };
  roots ??= parseCertificates((getCACertificates?.('default') ?? tls.rootCertificates).join('\n'));
  return roots.filter((root) => root.subject === subject);
}
