import type { PeerCertificate, TLSSocket } from 'node:tls';

import { expect, test } from '@jest/globals';

import { requireCertificate } from '../../src/database/connection/server-certificate.ts';
import { parseDatabaseUrl } from '../../src/net/database-url.ts';

const { tls } = parseDatabaseUrl('postgres://db.corp.example/postern?sslmode=verify-full');

/** A socket whose handshake ended with a certificate that its authority signed. */
function socketWith(certificate: object): TLSSocket {
  const shown = { issuer: { CN: 'ours' }, valid_to: 'Jan  1 00:00:00 2099 GMT', ...certificate };
  return {
    authorized: true,
    getPeerCertificate: () => shown as unknown as PeerCertificate,
  } as unknown as TLSSocket;
}

test.each([
  ['a name in the certificate', { subject: { CN: 'x' }, subjectaltname: 'DNS:db.corp.example' }],
  ['a wildcard directly above the name', { subject: {}, subjectaltname: 'DNS:*.corp.example, DNS:other' }],
  ['the common name of a certificate without names', { subject: { CN: 'db.corp.example' } }],
])('verify-full takes %s', (_what, certificate) => {
  expect(() => requireCertificate(socketWith(certificate), tls, 'db.corp.example', 5432)).not.toThrow();
});

test.each([
  ['another name', { subject: { CN: 'x' }, subjectaltname: 'DNS:other' }, 'DNS:other'],
  [
    'the common name beside other names',
    { subject: { CN: 'db.corp.example' }, subjectaltname: 'DNS:other' },
    'DNS:other',
  ],
  ['a wildcard further above', { subject: {}, subjectaltname: 'DNS:*.example' }, 'DNS:*.example'],
  ['a name that only begins so', { subject: { CN: 'db.corp.example.evil' } }, 'CN=db.corp.example.evil'],
  ['no name at all', { subject: {} }, 'no host'],
  ['control characters', { subject: { CN: 'a\u001b[31m\nb' } }, 'CN=a?[31m?b'],
])('verify-full refuses %s', (_what, certificate, names) => {
  const require = () => requireCertificate(socketWith(certificate), tls, 'db.corp.example', 5432);
  expect(require).toThrow(`is not for db.corp.example; it is for ${names}`);
});

test('verify-full refuses an address that stands in the certificate as a name', () => {
  for (const certificate of [
    { subject: {}, subjectaltname: 'DNS:192.0.2.1' },
    { subject: { CN: '192.0.2.1' } },
  ])
    expect(() => requireCertificate(socketWith(certificate), tls, '192.0.2.1', 5432)).toThrow(/is not for/);
  const right = { subject: {}, subjectaltname: 'IP Address:192.0.2.1' };
  expect(() => requireCertificate(socketWith(right), tls, '192.0.2.1', 5432)).not.toThrow();
});
