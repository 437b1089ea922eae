import { describe, expect, test } from '@jest/globals';
import { hashSync } from '@node-rs/argon2';
import fc from 'fast-check';
import { formats, readStoredHash } from '../../src/passwords/formats/format-table.ts';
import type { StoredHash } from '../../src/passwords/formats/password-format.ts';
import { validateImportedHash } from '../../src/passwords/validate-imported-hash.ts';
import { fastest } from '../security/fastest.ts';

const password = 'correct horse b\u00e4ttery';

/** One hash of `password` for each notation, made by the library named. */
const vectors: readonly (readonly [maker: string, format: string, stored: string])[] = [
  ['passlib 1.7.4 bcrypt', 'bcrypt', '$2b$05$.BGo3OzyOX3OEXltFBS5Tuee.MOgRnWDAe8MUqsoIxRnXnsOtukrC'],
  ['passlib 1.7.4 bcrypt', 'bcrypt', '$2a$05$bmU6bOALKY3Nlc6QVccuaOGDB2NJS0jQdh3998qIz9lx6fNcHYkDu'],
  ['passlib 1.7.4 bcrypt', 'bcrypt', '$2y$05$KMghDGND/Rpa7HsK4s7Hm.x.vWb5xhdQwxy28VQFUGpQgVe0I25Ve'],
  ['passlib 1.7.4', 'pbkdf2', '$pbkdf2$1000$r5VyjhHCeE.JcQ5hbM35Xw$PiQyicVCJm0VGL6Eyj7THegPG7c'],
  [
    'passlib 1.7.4',
    'pbkdf2-sha256',
    '$pbkdf2-sha256$1000$d.4dI2TsnfMeo3QuZWyNcQ$OPWiGcD6cWtMlEUxMnlZ9.1wkcdaBkZ8vWa5LLhtt/Y',
  ],
  [
    'passlib 1.7.4',
    'pbkdf2-sha512',
    '$pbkdf2-sha512$1000$by2FcO4dI2SstVaKsTbGOA$nCHC5QliTjlGJA0DcbLbro4KynU.3Qu7ZD/YsVUL0K8JClZ6PDOELGBmodiQeejA2NAbFiTSqcU6FAUR90Ef1w',
  ],
  [
    'Django 5.2.19',
    'pbkdf2_sha256',
    'pbkdf2_sha256$1000$Ueous4a2i5WxO6Pu4YZ0SB$asqc//ocdgzWIHOuTZWjHbKrQJkxJvboHaMnN7ow2Zs=',
  ],
  ['Django 5.2.19', 'pbkdf2_sha1', 'pbkdf2_sha1$1000$xlcUvNUT4F7BNwPS6elceD$jVUaB//JnjAWfOTQVo/7YCtVJ40='],
  [
    'Werkzeug 3.1.9',
    'pbkdf2:sha256',
    'pbkdf2:sha256:1000$vtC1IAH3vuytq667$919ee4f3c36c5b41df7693bb3f141562446219eb2a12623a03a291517de826a9',
  ],
  [
    'passlib 1.7.4',
    'scrypt',
    '$scrypt$ln=10,r=8,p=1$NQYgpDQGgPAeA8BYK2WstQ$WGcDJWildFBi4OmlKVqM5x7xlsWnv9SBuoYCfoYvDH0',
  ],
  [
    'passlib 1.7.4',
    'scrypt',
    '$scrypt$ln=8,r=4,p=2$3RuDcE6J0do7h3BurfUeow$ur+A9ZzA6dy0vfxO6THQCpuoHEhCRkBpClbiL2SqhBw',
  ],
  [
    'Django 5.2.19',
    'django scrypt',
    'scrypt$1024$gsou41zgIKsFV6Su7ZyQBr$8$1$GFIEwiWw7jW7or/Mh/yqB2kNf+wOOLTZ75LWM/rSQDIbDJ79NkL9bPlQsSDGSNSgJCGJtxUD3FeF8w/ZsTUB8w==',
  ],
  [
    'Werkzeug 3.1.9',
    'werkzeug scrypt',
    'scrypt:1024:8:1$Lwbgc9SQ3tfXdClY$904dbc36e55d1cb8f0e35a182a568cf5b7bfe8dea1407a39d208b8fa2ce8f6740e90d974c60f2eab9f4c465287e77df1bf17b5d7a42ceaba47e24dac691221a5',
  ],
  [
    'argon2-cffi 25.1.0',
    'argon2i',
    '$argon2i$v=19$m=512,t=2,p=2$c29tZXNhbHQxMjM0NTY3OA$8YZinvj8fqo7cZvPi0DdaDqNB7U233ExB/e9/fOQcz8',
  ],
  [
    'argon2-cffi 25.1.0',
    'argon2d',
    '$argon2d$v=19$m=512,t=2,p=2$c29tZXNhbHQxMjM0NTY3OA$7Gp/r6zM5uvpkWpg2P5rbIO2pNH2F2ek1qVLq5lKATU',
  ],
  [
    'argon2-cffi 25.1.0',
    'argon2id',
    '$argon2id$v=19$m=512,t=2,p=2$c29tZXNhbHQxMjM0NTY3OA$UPKc1ryRC7A3lrhiv7te8gGykz3f/p5Y49u0pFISzUk',
  ],
];

const readGood = (stored: string): StoredHash => {
  const read = readStoredHash(stored);
  if (typeof read === 'string') throw new Error(read);
  return read;
};
const verifies = (stored: string, candidate: string): boolean => readGood(stored).verify(candidate);
/** Compared with a hash of ours. */
const workOf = (stored: string): number => readGood(stored).work;
const reasonFor = (stored: string): string => {
  const judgement = validateImportedHash(stored);
  return judgement.ok ? 'accepted' : judgement.reason;
};

describe('hashes of other libraries', () => {
  test.each(vectors)('made by %s: %s', (_, format, stored) => {
    expect(validateImportedHash(stored)).toEqual({ ok: true, format, stored });
    expect(readStoredHash(stored)).toMatchObject({ needsRehash: true });
    expect(workOf(stored)).toBeLessThanOrEqual(1);
    expect(verifies(stored, password)).toBe(true);
    for (const wrong of ['', 'correct horse battery', `${password} `, password.normalize('NFD')]) {
      expect(verifies(stored, wrong)).toBe(false);
    }
  });

  test('verifies a known answer from the tests of passlib (test_handlers_pbkdf2.py)', () => {
    const documented =
      '$pbkdf2-sha256$1212$4vjV83LKPjQzk31VI4E0Vw$hsYF68OiOUPdDZ1Fg.fJPeq1h/gXXY7acBp9/6c.tmQ';
    expect(verifies(documented, 'password')).toBe(true);
  });

  test.each([
    // The defaults of each library in 2026 are accepted, with a margin for some years.
    ['$2b$12$', true],
    ['$pbkdf2$131000$', true],
    ['$pbkdf2-sha256$29000$', false],
    ['$pbkdf2-sha512$210000$', true],
    ['pbkdf2_sha256$1500000$', true],
    ['pbkdf2:sha256:1000000$', true],
    ['$scrypt$ln=17,r=8,p=1$', true],
    ['scrypt$16384$$8$5$', true],
    ['scrypt:32768:8:1$', true],
    ['$argon2id$v=19$m=102400,t=2,p=8$', true],
    ['$argon2id$v=19$m=65536,t=3,p=4$', true],
    ['$argon2id$v=19$m=19456,t=2,p=1$', false],
    // As many blocks as a hash of ours, in more memory.
    ['$argon2id$v=19$m=38912,t=1,p=1$', true],
    ['$2b$04$', false],
  ])('%s is accepted, and slower than a hash of ours: %p', (kind, slow) => {
    const complete = formats.find((format) => format.recognises(kind))?.exampleHash(kind) ?? '';
    expect(validateImportedHash(complete)).toMatchObject({ ok: true });
    expect(workOf(complete) > 1).toBe(slow);
  });
});

describe('L05 bcrypt reads 72 bytes', () => {
  /** passlib 1.7.4, of 71 times `a` and `b`; of 80 times `a`; of 36 times `é` and `xyz`. */
  const exactly72 = '$2b$04$PHyD34Ltcf/PWXu6e0IExuseMekEq0Y08iZ69DvyYL1TTF0u5nq8e';
  const of80 = '$2b$04$x0Vb1YCC8wvlUzvH9rYodOwhEMRiINrc9x5DWDio2u7EUn9J7zIWS';
  const of75Bytes = '$2b$04$eqYmnWCiYH7ExhZfGcNLo.FX2Tye6Bv6bN0h.UIqtzTglHX9f7Ptm';

  test('all 72 bytes count', () => {
    expect(verifies(exactly72, `${'a'.repeat(71)}b`)).toBe(true);
    expect(verifies(exactly72, `${'a'.repeat(71)}c`)).toBe(false);
    expect(verifies(exactly72, 'a'.repeat(71))).toBe(false);
  });

  test('a longer password, which the old library accepted, still matches', () => {
    expect(verifies(of80, 'a'.repeat(80))).toBe(true);
    expect(verifies(of75Bytes, `${'é'.repeat(36)}xyz`)).toBe(true);
  });

  test('passwords equal in their first 72 bytes match until the first login stores argon2id', () => {
    expect(verifies(of80, 'a'.repeat(79))).toBe(true);
    expect(readStoredHash(of80)).toMatchObject({ needsRehash: true });
    expect(verifies(hashSync('a'.repeat(80), { memoryCost: 64 }), 'a'.repeat(79))).toBe(false);
  });

  test('L06 nothing is cut at NUL', () => {
    expect(verifies(vectors[0]?.[2] ?? '', `${password}\0`)).toBe(false);
  });
});

describe('a hash that is too expensive or damaged is refused with one line', () => {
  const bcrypt = vectors[0]?.[2] ?? '';
  const [, , passlib = ''] = vectors[4] ?? [];
  const [, , django = ''] = vectors[6] ?? [];
  const [, , werkzeug = ''] = vectors[8] ?? [];
  const [, , phcScrypt = ''] = vectors[9] ?? [];
  const [, , djangoScrypt = ''] = vectors[11] ?? [];
  const [, , argon2d = ''] = vectors[14] ?? [];
  test.each([
    [bcrypt.replace('$05$', '$15$'), /has cost 15; the maximum/],
    [bcrypt.replace('$05$', '$31$'), /has cost 31; the maximum/],
    [bcrypt.replace('$05$', '$03$'), /has cost 3; the minimum/],
    [bcrypt.replace('$05$', '$99$'), /has cost 99/],
    [bcrypt.replace('$2b$', '$2x$'), /not a well-formed bcrypt/],
    [bcrypt.replace('$2b$', '$2$'), /not a well-formed bcrypt/],
    [bcrypt.slice(0, -1), /not a well-formed bcrypt/],
    [`${bcrypt}a`, /not a well-formed bcrypt/],
    [`${bcrypt}\n`, /not a well-formed bcrypt/],
    [bcrypt.replace('5Tu', '5Tv'), /not a well-formed bcrypt/],
    [bcrypt.replace(/C$/, 'D'), /not a well-formed bcrypt/],
    [passlib.replace('$1000$', '$2000001$'), /2000001 iterations; the maximum/],
    [passlib.replace('$1000$', '$4294967295$'), /4294967295 iterations/],
    [passlib.replace('$1000$', '$99999999999999999999$'), /not a well-formed/],
    [passlib.replace('$1000$', '$0$'), /not a well-formed/],
    [passlib.replace('$1000$', '$01000$'), /not a well-formed/],
    [passlib.replace(/Y$/, 'Z'), /damaged digest/],
    [passlib.replace('cQ$', 'cR$'), /damaged salt/],
    [passlib.slice(0, -2), /damaged digest/],
    [django.replace('$1000$', '$2000001$'), /2000001 iterations/],
    [django.replace(/=$/, ''), /not a well-formed/],
    [django.replace('s=', 't='), /damaged digest/],
    [django.replace('$Ueous4a2i5WxO6Pu4YZ0SB$', '$$'), /not a well-formed/],
    [werkzeug.replace(':1000$', ':2000001$'), /2000001 iterations/],
    [werkzeug.toUpperCase().replace('PBKDF2:SHA256', 'pbkdf2:sha256'), /not a well-formed/],
    [werkzeug.slice(0, -2), /digest of 31 bytes; it must have 32 or 64/],
    [phcScrypt.replace('ln=10', 'ln=18'), /more memory than 128 MiB/],
    [phcScrypt.replace('ln=10', 'ln=63'), /more memory than 128 MiB/],
    [phcScrypt.replace('r=8', 'r=9999'), /more memory than 128 MiB/],
    [phcScrypt.replace('p=1$', 'p=17$'), /costs more than/],
    [phcScrypt.replace('ln=10', 'ln=17').replace('p=1$', 'p=3$'), /costs more than/],
    [phcScrypt.replace('p=1$', 'p=0$'), /not a well-formed/],
    [phcScrypt.replace('ln=10,r=8', 'ln=17,r=1'), /an N that is not valid/],
    [djangoScrypt.replace('$1024$', '$1023$'), /an N that is not valid/],
    [djangoScrypt.replace('$1024$', '$1$'), /an N that is not valid/],
    [argon2d.replace('m=512', 'm=262145'), /costs more than/],
    [argon2d.replace('m=512', 'm=4294967295'), /costs more than/],
    [argon2d.replace('t=2', 't=11'), /costs more than/],
    [argon2d.replace('p=2', 'p=17'), /costs more than/],
    [argon2d.replace('m=512', 'm=8'), /less memory than argon2 needs/],
    [argon2d.replace('v=19', 'v=16'), /not a well-formed/],
    ['', /is empty/],
    ['x'.repeat(513), /over 512 characters/],
    ['5f4dcc3b5aa765d61d8327deb882cf99', /in no known format; docs.migrating.md/],
    ['md5$salt$5f4dcc3b5aa765d61d8327deb882cf99', /in no known format/],
  ])('%s', (stored, reason) => {
    expect(reasonFor(stored)).toMatch(reason);
    expect(reasonFor(stored)).not.toContain('\n');
    expect(readStoredHash(stored)).toMatch(/^(damaged|unknown-format)$/);
  });

  test('no hash with one changed character is accepted and still matches', () => {
    const cheap = vectors.map(([, , stored]) => stored);
    fc.assert(
      fc.property(
        fc.constantFrom(...cheap),
        fc.nat(),
        fc.constantFrom(...Array.from('./+$=,:Aaz09 \n\0é')),
        (stored, at, character) => {
          const place = at % stored.length;
          const changed = stored.slice(0, place) + character + stored.slice(place + 1);
          // Only the bcrypt kinds 2a, 2b and 2y name one algorithm; a changed cost may be expensive to try.
          if (changed === stored || place < stored.lastIndexOf('$') - 3) return;
          const judged = validateImportedHash(changed);
          // `+` and `.` are one character in two kinds of base64, and are stored alike.
          if (!judged.ok || judged.stored === null || judged.stored === stored) return;
          expect(verifies(judged.stored, password)).toBe(false);
        },
      ),
      { numRuns: 300 },
    );
  });
});

test('checking the format computes no hash: tens of thousands a second', async () => {
  const dear = formats
    .map((format) => format.exampleHash('$2b$14$'))
    .concat(vectors.map(([, , stored]) => stored));
  const ms = await fastest(50, 20, () => {
    for (let judged = 0; judged < 1_000; judged++) validateImportedHash(dear[judged % dear.length] ?? '');
  });
  expect(ms).toBeLessThan(50);
});
