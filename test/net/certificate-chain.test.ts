import { X509Certificate } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';

import { certificateExpiriesMs, chainExpiryMs } from '../../src/net/tls/chain-expiry.ts';
import { createAuthority } from '../support/certificates.ts';

const DAY_MS = 86_400_000;
const [root, between, other] = [
  createAuthority('root'),
  createAuthority('between'),
  createAuthority('other'),
];
const leaf = between.issue({ dns: ['localhost'], validForMs: 60 * DAY_MS }).cert;
const good = root.certify(between, 300 * DAY_MS);
const [expired, ending] = [root.certify(between, -DAY_MS), root.certify(between, 20 * DAY_MS)];
const noRoots = () => [];

/** Of the days that a chain is still good, rounded; 0 for one that has ended. */
function daysOf(chain: readonly string[], roots: readonly string[] = []): number {
  const known = roots.map((pem) => new X509Certificate(pem));
  const rootsOf = (subject: string) => known.filter((certificate) => certificate.subject === subject);
  const expiresMs = chainExpiryMs(chain.join(''), Date.now(), roots.length > 0 ? rootsOf : noRoots);
  return Math.max(0, Math.round((expiresMs - Date.now()) / DAY_MS));
}

describe('N22 a certificate file with an expired certificate that nobody needs is good as long as its chain', () => {
  test.each<[string, string[]]>([
    ['an expired root behind the chain', [leaf, good, root.certify(root, -DAY_MS)]],
    ['an expired root alone behind the certificate', [leaf, between.certify(between, -DAY_MS)]],
    ['an expired certificate of somebody else', [leaf, good, other.issue({ validForMs: -DAY_MS }).cert]],
    ['the expired intermediate that was renewed, kept behind its successor', [leaf, good, expired]],
    ['the same, kept before its successor', [leaf, expired, good]],
    ['the earlier certificate of this server', [leaf, good, between.issue({ validForMs: -DAY_MS }).cert]],
    [
      'an expired cross-certificate of the root that is in the file as well',
      [leaf, good, root.cert, other.certify(root, -DAY_MS)],
    ],
    [
      'two authorities that certified each other',
      [leaf, good, other.certify(root, 300 * DAY_MS), root.certify(other, 300 * DAY_MS)],
    ],
  ])('%s', (_name, chain) => {
    expect(daysOf(chain)).toBe(60);
  });

  test('an expired cross-certificate of a root that the peers know, as in September 2021', () => {
    const chain = [leaf, good, other.certify(root, -DAY_MS)];
    expect(daysOf(chain, [root.cert])).toBe(60);
    // Nobody knows that root without the cross-certificate.
    expect(daysOf(chain, [other.cert])).toBe(0);
    // The peers' own root has expired as well.
    expect(daysOf(chain, [root.certify(root, -DAY_MS)])).toBe(0);
    // The roots that come with Node are not asked for nothing.
    expect(chainExpiryMs(chain.join(''))).toBeLessThan(Date.now());
  });
});

describe('N22 what the chain needs still counts', () => {
  test.each<[string, string[], number]>([
    ['a chain that is good', [leaf, good], 60],
    ['a certificate alone', [leaf], 60],
    ['a self-signed certificate', [root.cert], 365],
    ['an expired certificate before a good chain', [between.issue({ validForMs: -DAY_MS }).cert, good], 0],
    ['an expired self-signed certificate', [root.certify(root, -DAY_MS)], 0],
    ['an intermediate that has expired', [leaf, expired], 0],
    ['an intermediate that ends first', [leaf, ending], 20],
    ['an intermediate that ends first, out of order', [leaf, other.cert, ending], 20],
    [
      'one of the same name and another key',
      [leaf, ending, root.certify(createAuthority('between'), 90 * DAY_MS)],
      20,
    ],
    ['the second intermediate', [leaf, good, other.certify(root, 10 * DAY_MS)], 10],
  ])('%s', (_name, chain, days) => {
    expect(daysOf(chain)).toBe(days);
  });

  test('of a file of CA certificates, each has its own end', () => {
    const days = certificateExpiriesMs([root.cert, expired, ending].join('')).map((ms) =>
      Math.round((ms - Date.now()) / DAY_MS),
    );
    expect(days).toEqual([365, -1, 20]);
  });
});
