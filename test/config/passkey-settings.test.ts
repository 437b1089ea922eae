import { randomBytes } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';

import { loadSettings, SettingsError } from '../../src/config/load-settings.ts';

const production = {
  DATABASE_URL: 'postgres://postern@localhost/postern',
  POSTERN_MASTER_KEY: randomBytes(32).toString('base64'),
};
const faultsOf = (environment: Record<string, string>) => {
  try {
    loadSettings(environment);
    return [];
  } catch (error) {
    return (error as SettingsError).faults;
  }
};
const usedWith = (environment: Record<string, string>) => loadSettings(environment).passkeys;

describe('the default origin of passkeys', () => {
  test.each([
    ['https://auth.example.com', 'https://auth.example.com', 'auth.example.com'],
    ['https://auth.example.com/tenant', 'https://auth.example.com', 'auth.example.com'],
    ['https://auth.example.com:8443', 'https://auth.example.com:8443', 'auth.example.com'],
    ['https://intranet', 'https://intranet', 'intranet'],
    ['http://localhost:8080', 'http://localhost:8080', 'localhost'],
    ['http://127.0.0.1:8080', 'http://localhost:8080', 'localhost'],
    ['http://127.0.0.1', 'http://localhost', 'localhost'],
    ['http://127.1.2.3:81', 'http://localhost:81', 'localhost'],
    ['http://[::1]:8080', 'http://localhost:8080', 'localhost'],
  ])('M24 of the issuer %s is %s', (issuer, origin, rpId) => {
    const expected = { rpId, origins: [origin] };
    expect(usedWith({ ...production, POSTERN_ISSUER: issuer })).toEqual(expected);
  });

  test('M24 in the first look it is http://localhost with the port of the HTTP listener', () => {
    expect(usedWith({})).toEqual({ rpId: 'localhost', origins: ['http://localhost:8080'] });
    expect(usedWith({ POSTERN_HTTP_LISTEN: '127.0.0.1:9090' })).toEqual({
      rpId: 'localhost',
      origins: ['http://localhost:9090'],
    });
  });

  test.each([
    [
      'http://192.0.2.1:8080',
      'POSTERN_ISSUER has an IP address, and browsers make no passkeys for an IP address',
    ],
    [
      'https://192.0.2.1',
      'POSTERN_ISSUER has an IP address, and browsers make no passkeys for an IP address',
    ],
    [
      'https://127.0.0.1',
      'POSTERN_ISSUER has an IP address, and browsers make no passkeys for an IP address',
    ],
    [
      'http://auth.example.com',
      'POSTERN_ISSUER is not https, and browsers make passkeys only on https and on http://localhost',
    ],
  ])('M24 with the issuer %s there is none, and a sentence says why', (issuer, why) => {
    expect(usedWith({ ...production, POSTERN_ISSUER: issuer })).toEqual({
      disabledBecause: `passkeys are off: ${why}; set POSTERN_PASSKEY_ORIGINS to the origins of your web pages, such as https://login.example.com`,
    });
  });
});

test('M24 the relying party is what is set, or the host of the first origin', () => {
  const POSTERN_PASSKEY_ORIGINS = 'https://example.com, https://login.example.com:8443';
  expect(usedWith({ ...production, POSTERN_PASSKEY_ORIGINS })).toEqual({
    rpId: 'example.com',
    origins: ['https://example.com', 'https://login.example.com:8443'],
  });
  const several = 'https://a.example.co.uk,https://b.example.co.uk';
  expect(
    usedWith({ ...production, POSTERN_PASSKEY_ORIGINS: several, POSTERN_PASSKEY_RP_ID: 'example.co.uk' }),
  ).toMatchObject({ rpId: 'example.co.uk' });
  expect(usedWith({ ...production, POSTERN_PASSKEY_ORIGINS: 'http://app.localhost:3000' })).toEqual({
    rpId: 'app.localhost',
    origins: ['http://app.localhost:3000'],
  });
});

test.each<[string, Record<string, string>, string]>([
  [
    'a loopback address',
    { POSTERN_PASSKEY_ORIGINS: 'http://127.0.0.1:8080' },
    'POSTERN_PASSKEY_ORIGINS has an IP address, and browsers make no passkeys for an IP address; use a host name, or for trials http://localhost with the port',
  ],
  [
    'an IPv6 address',
    { POSTERN_PASSKEY_ORIGINS: 'https://[2001:db8::1]' },
    'POSTERN_PASSKEY_ORIGINS has an IP address, and browsers make no passkeys for an IP address; use a host name, or for trials http://localhost with the port',
  ],
  [
    'plaintext',
    { POSTERN_PASSKEY_ORIGINS: 'http://login.example.com' },
    'POSTERN_PASSKEY_ORIGINS must have https: browsers make passkeys only on https and on http://localhost',
  ],
  [
    'a path',
    { POSTERN_PASSKEY_ORIGINS: 'https://login.example.com/' },
    'POSTERN_PASSKEY_ORIGINS must be origins as browsers write them, separated by commas, such as https://app.example.com: in lower case, without a path, without a wildcard, and with a port only if it is not the default one',
  ],
  [
    'an address as domain',
    { POSTERN_PASSKEY_RP_ID: '192.0.2.1' },
    'POSTERN_PASSKEY_RP_ID must be a domain: browsers make no passkeys for an IP address',
  ],
  [
    'a URL as domain',
    { POSTERN_PASSKEY_RP_ID: 'https://example.com' },
    'POSTERN_PASSKEY_RP_ID must be a domain in lower case, such as example.com',
  ],
  [
    'a domain with a dot at its end',
    { POSTERN_PASSKEY_RP_ID: 'example.com.' },
    'POSTERN_PASSKEY_RP_ID must be a domain in lower case, such as example.com',
  ],
])('M24 the start refuses %s', (_name, environment, fault) => {
  expect(faultsOf({ ...production, ...environment })).toEqual([fault]);
});

test.each([
  ['another domain', 'https://login.example.com', 'example.org'],
  ['a domain below the host', 'https://example.com', 'login.example.com'],
  ['a part of a label', 'https://login.myexample.com', 'example.com'],
  ['a top-level domain', 'https://login.example.com', 'com'],
  ['a domain of the first origin alone', 'https://login.example.com,https://www.example.org', 'example.com'],
  ['the host of the first origin alone', 'https://login.example.com,https://www.example.com', ''],
])('M24 the start refuses %s as domain of the passkeys', (_name, origins, rpId) => {
  const faults = faultsOf({ ...production, POSTERN_PASSKEY_ORIGINS: origins, POSTERN_PASSKEY_RP_ID: rpId });
  expect(faults).toEqual([
    expect.stringMatching(/^POSTERN_PASSKEY_RP_ID, by default the host of the first origin, must be/),
  ]);
});

test('M24 the start refuses a domain of passkeys where there are none', () => {
  const environment = {
    ...production,
    POSTERN_ISSUER: 'http://192.0.2.1',
    POSTERN_PASSKEY_RP_ID: 'example.com',
  };
  expect(faultsOf(environment)).toEqual([expect.stringContaining('POSTERN_PASSKEY_RP_ID has no effect')]);
});
