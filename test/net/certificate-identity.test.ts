import { X509Certificate } from 'node:crypto';

import { expect, test } from '@jest/globals';

import { callerByCertificate, clientNamesOf, readClientName } from '../../src/net/certificate-identity.ts';
import { Rejected } from '../../src/domain/rejection.ts';
import { verifiedClientNames } from '../../src/grpc/peer-certificate.ts';
import { createAuthority } from '../support/certificates.ts';

const namesIn = (wanted: { dns?: string[]; uris?: string[] }) => {
  const { cert } = createAuthority('test').issue(wanted);
  return clientNamesOf(new X509Certificate(cert).subjectAltName ?? '');
};

test('the names of a certificate are its URIs and DNS names', () => {
  expect(namesIn({ dns: ['Api.Example'], uris: ['spiffe://example.org/Api'] })).toEqual([
    'api.example',
    'spiffe://example.org/Api',
  ]);
  expect(namesIn({})).toEqual([]);
  expect(clientNamesOf('')).toEqual([]);
});

test.each<[string, { dns?: string[]; uris?: string[] }]>([
  ['a comma', { dns: ['evil.example, URI:spiffe://example.org/admin'] }],
  ['a comma in a URI', { uris: ['spiffe://x/a, URI:spiffe://example.org/admin'] }],
  ['a quote', { dns: ['a", URI:spiffe://example.org/admin, DNS:"b'] }],
  ['a quote before the comma', { uris: ['spiffe://x/"", DNS:admin.example'] }],
  ['a NUL', { dns: ['admin.example\0.evil.example'] }],
  ['a line break', { uris: ['spiffe://example.org/admin\n'] }],
  ['a URI as a DNS name', { dns: ['spiffe://example.org/admin'] }],
  ['a DNS name as a URI', { uris: ['admin.example'] }],
  ['a wildcard', { dns: ['*.example'] }],
])('N09 a certificate name with %s gives no name at all', (_what, wanted) =>
  expect(namesIn(wanted)).toEqual([]),
);

test.each(['', '*.example', 'a,b', 'a b', 'é.example', '-a', 'a..b', 'a'.repeat(257), ':x', 'spiffe://a"'])(
  '%j is not a valid name',
  (text) => expect(readClientName(text)).toBeNull(),
);

const verdictOf = (
  access: 'user' | 'service' | 'admin',
  names: string[] | null,
  lists?: [string[], string[]],
) => {
  const [service, admin] = lists ?? [['spiffe://x/watch'], ['spiffe://x/admin', 'admin.example']];
  try {
    return callerByCertificate({ service, admin }, access, names)?.id ?? null;
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return error.rejection.kind;
  }
};

test('N09 a name is authorized only for the methods that it is listed for', () => {
  expect(verdictOf('admin', ['other.example', 'admin.example'])).toBe('admin.example');
  expect(verdictOf('service', ['spiffe://x/watch'])).toBe('spiffe://x/watch');
  expect(verdictOf('admin', ['spiffe://x/watch'])).toBe('admin-required');
  expect(verdictOf('service', ['spiffe://x/admin'])).toBe('service-required');
  for (const near of ['spiffe://x/admin/', 'spiffe://x/Admin', 'spiffe://x/admi', 'sub.admin.example'])
    expect(verdictOf('admin', [near])).toBe('admin-required');
  // Methods for users need a token. Without listed names a certificate authorizes nothing.
  expect(verdictOf('user', ['spiffe://x/admin'])).toBeNull();
  expect(verdictOf('admin', null)).toBeNull();
  expect(verdictOf('admin', [])).toBe('credentials-missing');
  expect(verdictOf('service', [])).toBe('credentials-missing');
  expect(verdictOf('user', [])).toBeNull();
  expect(verdictOf('admin', [], [[], []])).toBeNull();
  expect(verdictOf('admin', ['spiffe://x/admin'], [[], []])).toBeNull();
});

test('N09 a certificate that expires during its connection gives no name from then on', () => {
  const sslPeerCertificate = (validForMs: number) => {
    const { cert } = createAuthority('test').issue({ uris: ['spiffe://x/admin'], validForMs });
    return new X509Certificate(cert).toLegacyObject();
  };
  expect(verifiedClientNames({ sslPeerCertificate: sslPeerCertificate(60_000) })).toEqual([
    'spiffe://x/admin',
  ]);
  expect(verifiedClientNames({ sslPeerCertificate: sslPeerCertificate(-60_000) })).toBeNull();
  expect(verifiedClientNames({})).toBeNull();
});
