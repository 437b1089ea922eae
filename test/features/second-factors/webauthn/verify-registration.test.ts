import { generateKeyPairSync } from 'node:crypto';

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';

import {
  type AlgorithmName,
  type Deviation,
  encodeCbor,
  SoftwareAuthenticator,
} from '../../../support/software-authenticator.ts';
import { judgeRegistration, ORIGIN, registration } from './answers.ts';

const authenticator = new SoftwareAuthenticator({ origin: ORIGIN });
const algorithms: readonly AlgorithmName[] = ['ES256', 'EdDSA', 'RS256'];

function cose(...members: [number, unknown][]): Buffer {
  return encodeCbor(new Map<unknown, unknown>(members));
}
function rsa(n: Buffer, e = Buffer.of(1, 0, 1)): Buffer {
  return cose([1, 3], [3, -257], [-1, n], [-2, e]);
}
const oddBytes = (length: number, first = 0xc5) => {
  const bytes = Buffer.alloc(length, 0x5b);
  bytes.writeUInt8(first);
  return bytes;
};

describe('verifyRegistration', () => {
  it.each(algorithms)('accepts a passkey of %s without attestation', (algorithm) => {
    const made = new SoftwareAuthenticator({ origin: ORIGIN, algorithm, isSynced: true, signCount: 7 });
    expect(judgeRegistration(registration(made))).toEqual({
      credentialId: made.credentialId,
      coseKey: made.coseKey,
      signCount: 7,
      backupEligible: true,
      backedUp: true,
    });
  });

  it.each(algorithms)(
    'accepts packed self-attestation of %s without an AAGUID (section 5.1.3)',
    (algorithm) => {
      const made = new SoftwareAuthenticator({ origin: ORIGIN, algorithm });
      expect(judgeRegistration(registration(made, { attestation: { fmt: 'packed' } }))).toMatchObject({
        backupEligible: false,
      });
    },
  );

  it('accepts extensions that nobody asked for', () => {
    const extensions = encodeCbor(
      new Map<unknown, unknown>([
        ['credProtect', 2],
        ['hmac-secret', true],
      ]),
    );
    const coseKey = Buffer.concat([authenticator.coseKey, extensions]);
    expect(judgeRegistration(registration(authenticator, { flags: 0xc5, coseKey }))).toMatchObject({
      coseKey: authenticator.coseKey,
    });
  });

  const wrong: [string, Deviation, string][] = [
    ['of a page of another site', { origin: 'https://example.org' }, 'origin'],
    ['of a page below an origin', { origin: `${ORIGIN}.evil.example` }, 'origin'],
    ['of the same host on another port', { origin: `${ORIGIN}:8443` }, 'origin'],
    ['of the same host without TLS', { origin: 'http://login.example.com' }, 'origin'],
    ['of an origin with a path', { origin: `${ORIGIN}/` }, 'origin'],
    ['of a list of origins', { clientData: { origin: [ORIGIN] } }, 'origin'],
    ['made by the call for a login', { type: 'webauthn.get' }, 'client-data-type'],
    ['of another challenge', { challenge: 'AAAA' }, 'challenge'],
    ['in a frame of another site', { clientData: { crossOrigin: true } }, 'cross-origin'],
    ['with a crossOrigin that is no boolean', { clientData: { crossOrigin: 'false' } }, 'cross-origin'],
    ['with a topOrigin', { clientData: { topOrigin: ORIGIN } }, 'cross-origin'],
    ['for another rp id', { rpId: 'login.example.com' }, 'rp-id'],
    ['without user presence', { flags: 0x44 }, 'user-not-present'],
    ['without user verification', { flags: 0x41 }, 'user-not-verified'],
    ['synced though it cannot be', { flags: 0x55 }, 'backup-flags'],
    ['without a credential', { flags: 0x05 }, 'authenticator-data-malformed'],
    [
      'with bytes after the key',
      { coseKey: Buffer.concat([authenticator.coseKey, Buffer.of(0)]) },
      'authenticator-data-malformed',
    ],
    [
      'with extensions that are no map',
      { flags: 0xc5, coseKey: Buffer.concat([authenticator.coseKey, Buffer.of(0)]) },
      'authenticator-data-malformed',
    ],
    [
      'with a statement without a format',
      { attestation: { attStmt: new Map([['alg', -7]]) } },
      'attestation-malformed',
    ],
    [
      'with the attestation of a maker',
      {
        attestation: {
          fmt: 'packed',
          attStmt: new Map<unknown, unknown>([
            ['alg', -7],
            ['sig', Buffer.alloc(8)],
            ['x5c', []],
          ]),
        },
      },
      'attestation-format',
    ],
    [
      'with self-attestation of a model',
      { aaguid: Buffer.alloc(16, 1), attestation: { fmt: 'packed' } },
      'attestation-format',
    ],
    [
      'with self-attestation of another algorithm',
      {
        attestation: {
          fmt: 'packed',
          attStmt: new Map<unknown, unknown>([
            ['alg', -8],
            ['sig', Buffer.alloc(64)],
          ]),
        },
      },
      'attestation-malformed',
    ],
    [
      'with self-attestation by another key',
      {
        attestation: { fmt: 'packed' },
        signer: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
      },
      'attestation-signature',
    ],
    [
      'with the attestation of an Android phone',
      { attestation: { fmt: 'android-key', attStmt: new Map() } },
      'attestation-format',
    ],
    [
      'with a key of another algorithm (ES384)',
      { coseKey: cose([1, 2], [3, -35], [-1, 2], [-2, Buffer.alloc(48, 1)], [-3, Buffer.alloc(48, 1)]) },
      'key',
    ],
    [
      'with a point off the curve',
      { coseKey: cose([1, 2], [3, -7], [-1, 1], [-2, Buffer.alloc(32, 1)], [-3, Buffer.alloc(32, 1)]) },
      'key',
    ],
    [
      'with the point at infinity',
      { coseKey: cose([1, 2], [3, -7], [-1, 1], [-2, Buffer.alloc(32)], [-3, Buffer.alloc(32)]) },
      'key',
    ],
    [
      'with the private key beside the public one',
      { coseKey: cose([1, 1], [3, -8], [-1, 6], [-2, Buffer.alloc(32, 9)], [-4, Buffer.alloc(32, 1)]) },
      'key',
    ],
    ['with a key that is no map', { coseKey: encodeCbor([1, 2]) }, 'key'],
    ['with an RSA key of 1024 bits', { coseKey: rsa(oddBytes(128)) }, 'key'],
    ['with an RSA key of 2047 bits', { coseKey: rsa(oddBytes(256, 0x7f)) }, 'key'],
    ['with an RSA key of 8192 bits', { coseKey: rsa(oddBytes(1_024)) }, 'key'],
    ['with a padded modulus', { coseKey: rsa(oddBytes(257, 0)) }, 'key'],
    ['with the RSA exponent 3', { coseKey: rsa(oddBytes(256), Buffer.of(3)) }, 'key'],
    ['with a huge RSA exponent', { coseKey: rsa(oddBytes(256), oddBytes(255)) }, 'key'],
  ];
  it.each(wrong)('refuses a passkey %s', (_name, deviation, fault) => {
    expect(judgeRegistration(registration(authenticator, deviation))).toBe(fault);
  });

  it('refuses an id that is not that of the credential', () => {
    const credential = authenticator.register('{"challenge":"","rp":{"id":""},"user":{"id":""}}');
    const json = registration(authenticator).replaceAll(
      credential.id,
      Buffer.alloc(32).toString('base64url'),
    );
    expect(judgeRegistration(json)).toBe('credential-id');
  });

  it('reads at most eight transports, and nothing that is none', () => {
    const parsed = JSON.parse(registration(authenticator)) as { response: { transports: unknown } };
    parsed.response.transports = [
      'usb',
      'usb',
      'NFC',
      7,
      ...Array.from({ length: 20 }, (_, at) => `t${'a'.repeat(at)}`),
    ];
    expect(typeof judgeRegistration(JSON.stringify(parsed))).toBe('object');
  });

  it('never throws, whatever the JSON or a byte of it is', () => {
    const json = registration(authenticator, { attestation: { fmt: 'packed' } });
    fc.assert(
      fc.property(fc.nat(json.length - 1), fc.nat(300), fc.string({ maxLength: 8 }), (at, removed, text) => {
        judgeRegistration(json.slice(0, at) + text + json.slice(at + removed));
      }),
      { numRuns: 3_000 },
    );
    fc.assert(fc.property(fc.json(), (text) => expect(judgeRegistration(text)).toBe('malformed')));
  });
});
