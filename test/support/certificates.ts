import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const DAY_MS = 86_400_000;

/** A certificate and its key, PEM. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
}

interface Wanted {
  readonly dns?: readonly string[];
  readonly uris?: readonly string[];
  /** The validity from now; negative for an expired certificate. */
  readonly validForMs?: number;
}

/** A certificate authority for one test. */
export interface Authority {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly cert: string;
  issue(wanted: Wanted): Issued;
  /** A CA certificate for another authority, or an older or newer one of its own. */
  certify(authority: Pick<Authority, 'name' | 'publicKey'>, validForMs: number): string;
}

/** Encodes certificates itself: needs no program and no package, and can make an expired one. */
export function createAuthority(name: string): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = { name, key: privateKey };
  const authorityMarks = [extension(BASIC_CONSTRAINTS, sequence(element(0x01, Buffer.from([0xff]))), true)];
  const certify: Authority['certify'] = (subject, validForMs) =>
    certificate({
      issuer,
      subject: subject.name,
      publicKey: subject.publicKey,
      validForMs,
      extensions: authorityMarks,
    });
  return {
    name,
    publicKey,
    cert: certify({ name, publicKey }, 365 * DAY_MS),
    certify,
    issue({ dns = [], uris = [], validForMs = 90 * DAY_MS }) {
      const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      const names = [
        ...dns.map((text) => element(0x82, Buffer.from(text))),
        ...uris.map((text) => element(0x86, Buffer.from(text))),
        // So that clients reach it at 127.0.0.1.
        element(0x87, Buffer.from([127, 0, 0, 1])),
      ];
      return {
        cert: certificate({
          issuer,
          subject: 'test',
          publicKey: pair.publicKey,
          validForMs,
          extensions: [extension(SUBJECT_ALT_NAME, sequence(...names))],
        }),
        key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
      };
    },
  };
}

/** Writes a certificate and its key to a folder as `NAME.crt` and `NAME.key`. @returns the two paths */
export function writeIssued(
  folder: string,
  name: string,
  { cert, key }: Issued,
): { cert: string; key: string } {
  const paths = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  writeFileSync(paths.cert, cert);
  writeFileSync(paths.key, key);
  return paths;
}

// RFC 5280 in DER, only the fields that clients check.
const ECDSA_WITH_SHA256 = '2a8648ce3d040302';
const COMMON_NAME = '550403';
const BASIC_CONSTRAINTS = '551d13';
const SUBJECT_ALT_NAME = '551d11';

function certificate(from: {
  issuer: { name: string; key: KeyObject };
  subject: string;
  publicKey: KeyObject;
  validForMs: number;
  extensions: Buffer[];
}): string {
  const { issuer, subject, publicKey, validForMs, extensions } = from;
  const algorithm = sequence(oid(ECDSA_WITH_SHA256));
  const endsMs = Date.now() + validForMs;
  const serial = randomBytes(8);
  serial[0] = 0x40;
  const content = sequence(
    element(0xa0, element(0x02, Buffer.from([2]))),
    element(0x02, serial),
    algorithm,
    distinguishedName(issuer.name),
    sequence(time(Math.min(Date.now(), endsMs) - DAY_MS), time(endsMs)),
    distinguishedName(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    element(0xa3, sequence(...extensions)),
  );
  const signature = element(0x03, Buffer.concat([Buffer.from([0]), sign('sha256', content, issuer.key)]));
  const body = sequence(content, algorithm, signature).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${(body.match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`;
}

function distinguishedName(name: string): Buffer {
  return sequence(element(0x31, sequence(oid(COMMON_NAME), element(0x0c, Buffer.from(name)))));
}

function extension(id: string, value: Buffer, isCritical = false): Buffer {
  const critical = isCritical ? [element(0x01, Buffer.from([0xff]))] : [];
  return sequence(oid(id), ...critical, element(0x04, value));
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\.\d+/, '').replace(/[-:T]/g, '');
  return element(0x18, Buffer.from(digits));
}

function oid(hex: string): Buffer {
  return element(0x06, Buffer.from(hex, 'hex'));
}

function sequence(...parts: Buffer[]): Buffer {
  return element(0x30, Buffer.concat(parts));
}

function element(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
