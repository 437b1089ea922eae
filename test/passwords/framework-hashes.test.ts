import { describe, expect, test } from '@jest/globals';
import { hashSync } from 'bcryptjs';

import { formatOf, formats, readStoredHash } from '../../src/passwords/formats/format-table.ts';
import type { StoredHash } from '../../src/passwords/formats/password-format.ts';
import { validateImportedHash } from '../../src/passwords/validate-imported-hash.ts';

const password = 'correct horse b\u00e4ttery';
const signerKey = 'jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==';

/** A hash as it is exported. Of `correct horse bättery`, made by the library named, unless `typed` says otherwise. */
type Vector = readonly [maker: string, format: string, exported: string, typed?: string];

const vectors: readonly Vector[] = [
  [
    'Django 5.2.19, Argon2PasswordHasher',
    'argon2id',
    'argon2$argon2id$v=19$m=512,t=2,p=2$TXVmOEtIVndTOTR3WnljZWFCUUNnVw$ZEnrL01niZI5wpcQWDmAB/ksznwnIPAdBLE7J84AKe8',
  ],
  [
    'Django 5.2.19, BCryptPasswordHasher',
    'bcrypt',
    'bcrypt$$2b$05$lPP.G/92cHgMAd7ag5RCWeJBlEMduNYgVLypYrxlKrpmE44NxXQJK',
  ],
  [
    'Django 5.2.19, BCryptSHA256PasswordHasher',
    'django bcrypt_sha256',
    'bcrypt_sha256$$2b$05$j2rqcWOgNv1O2KM1nQQqGeSb0LgxEbkp9lEwt/FRXkDCR5HXR.95W',
  ],
  [
    'passlib 1.7.4, bcrypt_sha256',
    'passlib bcrypt_sha256',
    '$bcrypt-sha256$v=2,t=2b,r=5$q4gTH3mFo7V3aCqTN/q8P.$uVy.zZHeQu4YyeV214P1Z3gAmY5bGES',
  ],
  [
    'passlib 1.7.4, bcrypt_sha256 of version 1',
    'passlib bcrypt_sha256',
    '$bcrypt-sha256$2b,5$TWUTYhVEWOPH1OK.IN/Up.$f/Wgz0ddVvTUN4eiQgX2fAgeCIJVPAO',
  ],
  [
    'PHP 8.2.36 password_hash, as Laravel',
    'bcrypt',
    '$2y$05$C6Gsrsj08SW2Wi1/zcRFLOU2nOE0Uma31ypuooo3tAEaLjoOZBuPe',
  ],
  [
    'PHP 8.2.36 password_hash',
    'argon2i',
    '$argon2i$v=19$m=512,t=2,p=1$c25YUWxmT2pHN0hGY2llaQ$R1LmUruIYfERer/jKSLqZOWl+DEF7bj+iZL9Q8mK8kw',
  ],
  [
    'PHP 8.2.36 password_hash',
    'argon2id',
    '$argon2id$v=19$m=512,t=2,p=1$VHRaRW4xdHdRdkVadHNtMQ$XNVDER8P4jhW5Dh+ey75eM4Q5qAo/hICj4VcVKYKFMM',
  ],
  ['WordPress 6.1.9 wp_hash_password', 'wordpress phpass', '$P$BGM5IfR74m./til5JiXyObFLdFdNZv.'],
  ['passlib 1.7.4, phpass', 'wordpress phpass', '$P$6LTwkp15tkxBfdzW7eux7syuk/.KCh.'],
  [
    // By what wp_hash_password does since WordPress 6.8.
    'PHP 8.2.36, password_hash of hash_hmac',
    'wordpress bcrypt',
    '$wp$2y$05$HPbAZuZnYRz9dHpLexcQvOSf86E9R1I.vZiS9wFvxNkTEaivZ8WuW',
  ],
  ['passlib 1.7.4, phpass of phpBB', 'phpbb phpass', '$H$6UZ8gYZOWbYJAXrBsBqWU46EpjlZlI0'],
  [
    'the examples of hashcat, Drupal 7',
    'drupal phpass',
    '$S$C33783772bRXEx1aCsvY.dqgaaSu76XmVlKrW9Qu8IQlvxHlmzLf',
    'hashcat',
  ],
  [
    'the README of github.com/firebase/scrypt',
    'firebase scrypt',
    `$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=${signerKey}$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==`,
    'user1password',
  ],
  [
    'firebase-scrypt 2.2.0 of npm',
    'firebase scrypt',
    `$fbscrypt$v=1,n=10,r=8,p=1,ss=Bw==,sk=${signerKey}$kW3e7Tn+0eYv1g==$lTYliMQ2053pIfpIIiu4RW1xZOHV2NIdPXfHnnNcavbqj5f2K2+Gj/YyjMJ1EbMbbBSe9M8hRKUqX077gP0mEQ==`,
  ],
  [
    'the same in base64 for URLs, as the Admin SDK lists users',
    'firebase scrypt',
    `$fbscrypt$v=1,n=10,r=8,p=1,ss=Bw==,sk=${signerKey}$kW3e7Tn-0eYv1g==$lTYliMQ2053pIfpIIiu4RW1xZOHV2NIdPXfHnnNcavbqj5f2K2-Gj_YyjMJ1EbMbbBSe9M8hRKUqX077gP0mEQ==`,
  ],
  [
    'the tests of Ory Kratos',
    'firebase scrypt',
    '$firescrypt$ln=14,r=8,p=1$sPtDhWcd1MfdAw==$xbSou7FOl6mChCyzpCPIQ7tku7nsQMTFtyOZSXXd7tjBa4NtimOx7v42Gv2SfzPQu1oxM2/k4SsbOu73wlKe1A==$Bw==$YE0dO4bwD4JnJafh6lZZfkp1MtKzuKAXQcDCJNJNyeCHairWHKENOkbh3dzwaCdizzOspwr/FITUVlnOAwPKyw==',
    '8x4WjoDbSxJZdR',
  ],
  // ASP.NET Identity: PasswordHasherTest.cs of github.com/dotnet/aspnetcore.
  [
    'ASP.NET Identity version 2',
    'pbkdf2',
    'AAABAgMEBQYHCAkKCwwNDg+ukCEMDf0yyQ29NYubggHIVY0sdEUfdyeM+E1LtH1uJg==',
    'my password',
  ],
  [
    'ASP.NET Identity version 2',
    'pbkdf2',
    'ANXrDknc7fGPpigibZXXZFMX4aoqz44JveK6jQuwY3eH/UyPhvr5xTPeGYEckLxz9A==',
    'my password',
  ],
  [
    'ASP.NET Identity version 3, SHA-256',
    'pbkdf2-sha256',
    'AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==',
    'my password',
  ],
  [
    'ASP.NET Identity version 3, SHA-512 with 32 bytes, its default',
    'pbkdf2-sha512',
    'AQAAAAIAAYagAAAAEAABAgMEBQYHCAkKCwwNDg/Q8A0WMKbtHQJQ2DHCdoEeeFBrgNlldq6vH4qX/CGqGQ==',
    'my password',
  ],
  [
    'ASP.NET Identity version 3, SHA-512 with 64 bytes',
    'pbkdf2-sha512',
    'AQAAAAIAAAD6AAAAIJbVi5wbMR+htSfFp8fTw8N8GOS/Sje+S/4YZcgBfU7EQuqv4OkVYmc4VJl9AGZzmRTxSkP7LtVi9IWyUxX8IAAfZ8v+ZfhjCcudtC1YERSqE1OEdXLW9VukPuJWBBjLuw==',
    'my password',
  ],
  [
    '@phc/pbkdf2 1.1.14',
    'pbkdf2-sha512',
    '$pbkdf2-sha512$i=1000$Qsyj09AqFJBNgBvYSla8wA$x6UesGLP5eK4pUnJVYXTpxOj5WnJ8pVKCSl3s6h5ZYh9uCabozt0vgAQmxevUDAIKDwlwml6wAz2sIcjcJcRyg',
  ],
  [
    '@phc/pbkdf2 1.1.14',
    'pbkdf2-sha256',
    '$pbkdf2-sha256$i=1000$dCC1JXrtr1i/tFcZXx3/6A$oan1ix9AQ3GgRe4URQC8YFyG+EQZYO7yTPXaVowu6vI',
  ],
  ['@phc/pbkdf2 1.1.14', 'pbkdf2', '$pbkdf2-sha1$i=1000$HD+p/Ci3VOIkYxU/aPw0EQ$1TdCynkLGUlgR04rlU/7uKEy09I'],
  [
    'passlib 1.7.4, ldap_pbkdf2_sha1',
    'pbkdf2',
    '{PBKDF2}1000$SWnNWYtRCsG4916LMYYwZg$X7T.tsjGuTebDCB/i99HtO2709E',
  ],
  [
    'passlib 1.7.4, ldap_pbkdf2_sha256',
    'pbkdf2-sha256',
    '{PBKDF2-SHA256}1000$CKGUMmastXYO4XwPYQzh/A$OPhz7RaOzDPLd9dQfkOKzBMl5J.IF.NzyedapaLe7d0',
  ],
  [
    'passlib 1.7.4, atlassian_pbkdf2_sha1',
    'pbkdf2',
    '{PKCS5S2}VkppDaFU6j2HsNbaO0do7ZR1hTfmmS0hjYelbzLGE3mHG7UuMBFa2QsEww/P8meO',
  ],
  [
    'passlib 1.7.4, sha256_crypt',
    'sha256-crypt',
    '$5$rounds=1000$0wVy4TGFyANP3o9I$lMFleqCUK0RID33UEDxSaGDRlyWDWfQGQW9VS5LXmTC',
  ],
  ['libxcrypt of Debian 12', 'sha256-crypt', '$5$saltstring$QBVLgeCpl3nJbtNK61/TA7F.f7g6gTLdfy1bKxAQ/E6'],
  [
    'passlib 1.7.4, sha512_crypt',
    'sha512-crypt',
    '$6$rounds=1000$97N8Y3kdr0M8BBH/$h6wi7fy0IAzMYaF7G2nZDysLw5OgippqLYmblgOKCNVId/Or0fwpljywiQCjvUVph/wN6hD2.5AgmsMALS/pm.',
  ],
  [
    'libxcrypt of Debian 12',
    'sha512-crypt',
    '$6$saltstring$80JGtPXHzHY2ufCNXvLasA76lA8B4PrnoGAfVCEyZf8DQ9MY6rTASMMqGyAVd1lKEaTAmpoLDX4Me3plB3vsx.',
  ],
  [
    'passlib 1.7.4, ldap_sha512_crypt',
    'sha512-crypt',
    '{CRYPT}$6$rounds=1000$.M1.F8d/NqRMIleG$0Eu4Tkpi8H2ErFSyNoOqoH6JtqCZqGnuv.9nZZtAPM2SOaK4EH50zj9UiiwS2kHUJGVu8NPw5yrmsvGu7eQuZ0',
  ],
  [
    'passlib 1.7.4, ldap_bcrypt',
    'bcrypt',
    '{CRYPT}$2b$05$9f29hH2OVwcwIJwdKaLTx.HchBUZ7GG/NnJA9G07QBrfSYp.hs.wq',
  ],
  [
    // The text of passlib's bcrypt, with what Spring's DelegatingPasswordEncoder writes before it.
    'Spring Security',
    'bcrypt',
    '{bcrypt}$2a$05$bmU6bOALKY3Nlc6QVccuaOGDB2NJS0jQdh3998qIz9lx6fNcHYkDu',
  ],
  ['passlib 1.7.4, ldap_salted_sha1', 'ssha', '{SSHA}W0U5GJRGwrhnN+PiEE012OXZNXfNmRPC'],
  [
    'the same in base64, as ldapsearch writes it',
    'ssha',
    'e1NTSEF9VzBVNUdKUkd3cmhuTitQaUVFMDEyT1haTlhmTm1SUEM=',
  ],
  [
    'passlib 1.7.4, ldap_salted_sha256',
    'ssha256',
    '{SSHA256}Wi751CRt2GCinblua9C7THg6nG4IOXKkwDIs4yye2jMhBGDMWStFiA==',
  ],
  [
    'passlib 1.7.4, ldap_salted_sha512',
    'ssha512',
    '{SSHA512}c+M6gba2y/p3ITRA6Tms6iXT2pJFL1UoptOdyp6fmOY/9iqyCkeYFe8fciPDUVB58aCSxoyWrlrxVgiwbQWwgyjFeE/JmfM+',
  ],
];

function imported(exported: string): { stored: string; format: string | null; read: StoredHash } {
  const result = validateImportedHash(exported);
  if (!result.ok) throw new Error(result.reason);
  const read = readStoredHash(result.stored ?? '');
  if (typeof read === 'string') throw new Error(read);
  return { stored: result.stored ?? '', format: result.format, read };
}

const verifies = (exported: string, typed: string) => imported(exported).read.verify(typed);
const reasonFor = (exported: string): string => {
  const result = validateImportedHash(exported);
  return result.ok ? 'accepted' : result.reason;
};

describe('a hash exported from a framework lets its owner in', () => {
  test.each(vectors)('made by %s: %s', (_maker, format, exported, typed = password) => {
    const { read, ...found } = imported(exported);
    expect(found.format).toBe(format);
    expect(read.needsRehash).toBe(true);
    expect(read.verify(typed)).toBe(true);
    for (const wrong of ['', `${typed}x`, typed.slice(1), typed.toUpperCase()]) {
      expect(read.verify(wrong)).toBe(false);
    }
  });

  test.each(vectors)(
    'made by %s: what is stored of %s is stored alike when it is imported again',
    (...vector) => {
      const { stored } = imported(vector[2]);
      expect(imported(stored).stored).toBe(stored);
      expect(stored.length).toBeLessThanOrEqual(vector[2].length + 20);
    },
  );

  test("Keycloak's 64 bytes of PBKDF2-SHA256, in any base64", () => {
    // PHP 8.2.36 hash_pbkdf2 of `saltsaltsaltsalt`, 1000 rounds and 64 bytes, as Keycloak stores them.
    const salt = Buffer.from('saltsaltsaltsalt').toString('base64');
    const key = 'lNrjzv7UceQL/GmHZ9g81qej5trJHKOz8IAvGCFVPTNq2RfyQdeZghatz6wtA9NpR1kwRWebNKsqYERQf8b6qg==';
    for (const form of [key, key.replaceAll('+', '.'), key.replaceAll('=', '')]) {
      expect(verifies(`$pbkdf2-sha256$1000$${salt}$${form}`, password)).toBe(true);
      expect(verifies(`$pbkdf2-sha256$1000$${salt}$${form}`, 'another')).toBe(false);
    }
    expect(
      verifies(
        `$pbkdf2$1000$${salt}$dXGcWBF8S85GT0l3GpgneJKwf1zGwg9s+haFw7yZiV8bR2cE56WASt47nJAw/w9GTtOR+y0M8VuJY4HPNS4jUQ==`,
        password,
      ),
    ).toBe(true);
  });

  test('a column of the type CHAR(128) fills a hash up with spaces', () => {
    const exported = '$2y$05$C6Gsrsj08SW2Wi1/zcRFLOU2nOE0Uma31ypuooo3tAEaLjoOZBuPe';
    expect(imported(exported.padEnd(128)).stored).toBe(exported);
  });

  test('the signer key of Firebase is not stored', () => {
    const { stored } = imported(vectors.find(([maker]) => maker.startsWith('firebase-scrypt'))?.[2] ?? '');
    const bytes = Buffer.from(stored.split('$').at(-1) ?? '', 'base64');
    expect(bytes).toHaveLength(64);
    expect(stored).not.toContain(signerKey.slice(0, 12));
    expect(bytes.includes(Buffer.from(signerKey, 'base64').subarray(0, 8))).toBe(false);
  });
});

describe('whoever typed it at the old login may type it here', () => {
  // WordPress 6.1.9: wp_hash_password of what arrives from the form, in which PHP has slashed quotes and backslashes.
  const quoted = 'it\'s a "back\\slash" horse';
  test.each([
    ['$P$BBeHddZq.9FeEMipOCte5ClOHvPo.M.', quoted],
    ['$P$BRD8kkkKteObLPW5ISyrKyipKoKE6r.', '  two spaces around  '],
    ['$P$BRD8kkkKteObLPW5ISyrKyipKoKE6r.', 'two spaces around'],
    ['$wp$2y$05$DsuKEm3gdrNzfvoHa4rg2uT.WTh1qeuil6pmX1lhKqyC1/a/16VQa', quoted],
    ['$wp$2y$05$CCHFiB.lsDbfFndSlWYpGugmUcMdbr6B0lLd9YT3kc4/U982iRYie', '  two spaces around  '],
  ])('WordPress %s of %j', (exported, typed) => {
    expect(verifies(exported, typed)).toBe(true);
    expect(verifies(exported, typed.replaceAll(' ', ''))).toBe(false);
  });

  test('a password with quotes that a plugin of WordPress hashed without backslashes', () => {
    // bcryptjs, of what PHP 8.2.36 hash_hmac gives for the password as it is.
    const hmac = 'KW6K3zdzNwJKWEiSyUzegt+j6M3KogBOQ/qDUsIXeYyuWVlGkfx0yPLIwHMlmDjp';
    expect(verifies(`$wp${hashSync(hmac, 4).replace('$2b$', '$2y$')}`, quoted)).toBe(true);
  });

  test('L05 byte 73 counts where the framework hashed a digest', () => {
    // Django 5.2.19 and passlib 1.7.4, of 80 times `a`.
    for (const exported of [
      'bcrypt_sha256$$2b$05$bHjJHYeTZZnsXO4TefU4NudGSxv5Y4SKeD14KKyS86F5.sQEp1tki',
      '$bcrypt-sha256$v=2,t=2b,r=4$2lgwIdolf6wOKrOsKeT9pe$6j4exl6bVDMuQBnkBdhET9Zy55l4SwK',
    ]) {
      expect(verifies(exported, 'a'.repeat(80))).toBe(true);
      expect(verifies(exported, 'a'.repeat(79))).toBe(false);
    }
  });

  /** passlib 1.7.4: SHA-crypt repeats password and digest, so each length takes another way. */
  test.each([
    [
      0,
      '$6$rounds=1000$K7HB6ABHOCF7UQSe$lsid4NSd47Zul0gmqtrkgDXQccavBWcD0KzU6sabJmGDQ/oKKcJj.bStRuDX8z6Jzar0gTe.sRsXnIiu.sfJ4.',
    ],
    [32, '$5$rounds=1001$Or5uqjyY9YYcIoZO$Ik7ltQ07/IQlswzMQeS7ZryibyzdvLrWpfrqqWfKcy6'],
    [33, '$5$rounds=1001$98lS399y8WGolhyo$WY/.X1Ct6xI1HYxUv.SZfKDlMwr.rvoAHKwIKbEgoq5'],
    [
      63,
      '$6$rounds=1000$pvfPnxNGKmcFaI.U$kYmZRlIJb6yGJA8Ezi/acy1H2C/3Zbi.2RAs0CtOmnhBQ88lKZOlf8w/h7vqgDDEr3HYgyshFPYPcBFu6HLfR1',
    ],
    [
      64,
      '$6$rounds=1000$eGeF52eqXHVapHyJ$FAH6PdHh4OKiWPwH44wtQztJ9kSSshC9mj/nJnIZ9Umgt9AW9it78v03wbZvYT2I3QtA4JafA4AhAY3lzF3dD0',
    ],
    [
      65,
      '$6$rounds=1000$1JxgL5f4ymr6dNtq$WFChE9CXpmKbKLISEp5Qt6wJGYKkfr2XIf7BI0g4sjL0fx2q/zHDZZVpGGjq05nKTR3YUQldlDxr63T8qWjrt/',
    ],
    [128, '$5$rounds=1001$wssebzPa5yZlk47e$ut3YLohxTrSxmYT1wbZpSMr.FsFqcIGdrLFxC8gKHRC'],
  ])('SHA-crypt of %i bytes', (bytes, exported) => {
    const typed =
      '\u00e9xyz'.repeat(Math.floor(bytes / 5)) + '\u00e9xyz'.slice(0, Math.max(0, (bytes % 5) - 1));
    expect(Buffer.byteLength(typed)).toBe(bytes);
    expect(verifies(exported, typed)).toBe(true);
    expect(verifies(exported, `${typed}z`)).toBe(false);
  });

  test('L05 a longer password than SHA-crypt takes is not cut to one that matches', () => {
    const exported = '$5$rounds=1001$wssebzPa5yZlk47e$ut3YLohxTrSxmYT1wbZpSMr.FsFqcIGdrLFxC8gKHRC';
    const typed = `${'\u00e9xyz'.repeat(25)}\u00e9x`;
    expect([verifies(exported, typed), verifies(exported, `${typed}b`)]).toEqual([true, false]);
  });
});

describe('an export that marks a user without a password', () => {
  test.each([
    ['Django', '!CqGuLaC6NrCnIooDBUKrSK5wxCJnwEOZTZHRP34W'],
    [
      'a locked account in /etc/shadow',
      '!$6$saltstring$80JGtPXHzHY2ufCNXvLasA76lA8B4PrnoGAfVCEyZf8DQ9MY6rTASMMqGyAVd1lKEaTAmpoLDX4Me3plB3vsx.',
    ],
    ['/etc/shadow', '!!'],
    ['/etc/shadow', '*'],
    ['Solaris', '*LK*'],
    ['phpass that failed', '*0'],
    ['OpenLDAP', '{CRYPT}!'],
    ['OpenLDAP', '{CRYPT}*'],
    ['SQL Server', 'NULL'],
    ['MySQL', '\\N'],
  ])('%s: %s', (_program, exported) => {
    expect(validateImportedHash(exported)).toEqual({ ok: true, stored: null, format: null });
  });

  test('what looks like one and is a hash is not taken for one', () => {
    // MySQL 5.7 PASSWORD('password').
    expect(reasonFor('*2470C0C06DEE42FD1618BBB99005ADCA2EC9D1E19')).toMatch(/in no known format/);
  });
});

describe('a hash that would burn memory or time, or is damaged, is refused with one line', () => {
  const byFormat = (name: string) => vectors.find(([, format]) => format === name)?.[2] ?? '';
  const django = byFormat('django bcrypt_sha256');
  const passlib = byFormat('passlib bcrypt_sha256');
  const wordpress = byFormat('wordpress bcrypt');
  const phpass = byFormat('wordpress phpass');
  const shaCrypt = byFormat('sha512-crypt');
  const firebase = byFormat('firebase scrypt');
  const keyed = (base64: string) => `$pbkdf2-sha256$1000$c2FsdHNhbHQ$${base64}`;
  test.each([
    [django.replace('$05$', '$15$'), /has cost 15; the maximum for bcrypt is 14/],
    [django.replace('$05$', '$03$'), /has cost 3; the minimum/],
    [django.replace('$2b$', '$2x$'), /not a well-formed hash of django bcrypt_sha256/],
    [django.slice(0, -1), /not a well-formed hash of django bcrypt_sha256/],
    [passlib.replace('r=5', 'r=31'), /has cost 31; the maximum/],
    [passlib.replace('r=5', 'r=05'), /not a well-formed hash of passlib bcrypt_sha256/],
    [passlib.replace('v=2', 'v=3'), /not a well-formed hash of passlib bcrypt_sha256/],
    // Two texts are tried for a password with quotes.
    [wordpress.replace('$05$', '$14$'), /has cost 14; the maximum for bcrypt is 13/],
    [wordpress.slice(0, -1), /not a well-formed hash of wordpress bcrypt/],
    [phpass.replace('$P$B', '$P$F'), /has 2\^17 iterations; 2\^7 to 2\^16/],
    [phpass.replace('$P$B', '$P$S'), /has 2\^30 iterations/],
    [phpass.replace('$P$B', '$P$4'), /has 2\^6 iterations/],
    [phpass.slice(0, -1), /not a well-formed hash of wordpress phpass/],
    [phpass.replace('$P$', '$S$'), /not a well-formed hash of drupal phpass/],
    [
      shaCrypt.replace('rounds=1000', 'rounds=700001'),
      /has 700001 rounds; the maximum for sha512-crypt is 700000/,
    ],
    [shaCrypt.replace('rounds=1000', 'rounds=999999999'), /has 999999999 rounds/],
    [shaCrypt.replace('rounds=1000', 'rounds=999'), /not a well-formed sha512-crypt/],
    [shaCrypt.replace('rounds=1000', 'rounds=01000'), /not a well-formed sha512-crypt/],
    [shaCrypt.slice(0, -1), /not a well-formed sha512-crypt/],
    [shaCrypt.replace('$6$', '$5$'), /not a well-formed sha256-crypt/],
    [firebase.replace('n=14', 'n=18'), /more memory than 128 MiB/],
    [firebase.replace('n=14', 'n=31'), /more memory than 128 MiB/],
    [firebase.replace(/,ss=.*?\$/, '$'), /not a well-formed Firebase hash with its signer key/],
    [firebase.replace(`sk=${signerKey}`, 'sk=AAAA'), /not a well-formed Firebase hash with its signer key/],
    // What the Admin SDK lists without the right to read hashes: "REDACTED".
    [firebase.replace(/\$[^$]*$/, '$UkVEQUNURUQ='), /not a well-formed Firebase hash/],
    // ASP.NET Identity: 2,000,001 iterations; a salt longer than the text; another digest; a text that was cut.
    [
      'AQAAAAEAHoSBAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==',
      /2000001 iterations/,
    ],
    [
      'AQAAAAEAACcQAAEAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==',
      /no known format/,
    ],
    [
      'AQAAAAMAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+JIuUEw==',
      /no known format/,
    ],
    [
      'AQAAAAEAACcQAAAAEAABAgMEBQYHCAkKCwwNDg+yWU7rLgUwPZb1Itsmra7cbxw2EFpwpVFIEtP+',
      /28 bytes; it must have 32 or 64/,
    ],
    [keyed(Buffer.alloc(48).toString('base64')), /has a digest of 48 bytes; it must have 32 or 64/],
    [keyed(Buffer.alloc(33).toString('base64')), /has a digest of 33 bytes/],
    ['{SSHA}W0U5GJRGwrhnN+PiEE012OXZNXc=', /not a well-formed \{SSHA\} hash with a salt/],
    ['{SHA}W0U5GJRGwrhnN+PiEE012OXZNXc=', /no known format/],
    ['{CRYPT}$1$salt$qJH7.N4xYta3aEG/dfqo/0', /no known format/],
    ['$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7', /no known format/],
    ['argon2$argon2id$v=19$m=4194304,t=2,p=2$c29tZXNhbHQ$c29tZWhhc2hzb21laGFzaA', /costs more than/],
    ['bcrypt$', /no known format/],
    ['{}', /no known format/],
  ])('%s', (exported, reason) => {
    expect(reasonFor(exported)).toMatch(reason);
    expect(reasonFor(exported)).not.toContain('\n');
    expect(reasonFor(exported)).not.toContain(signerKey);
  });
});

test('L02 an example of each kind reads, with the cost of the longest password', () => {
  const kinds = vectors.map(([, , exported]) => imported(exported).stored.replace(/[^$]*\$[^$]*$/, ''));
  for (const kind of kinds.filter((kind) => !kind.startsWith('$2'))) {
    const example = formatOf(kind)?.exampleHash(kind) ?? '';
    expect(example.startsWith(kind)).toBe(true);
    expect(readStoredHash(example)).toMatchObject({ needsRehash: true });
  }
  expect(new Set(formats.map(({ name }) => name)).size).toBe(formats.length);
});
