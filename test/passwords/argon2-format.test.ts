import { describe, expect, test } from '@jest/globals';
import { hashSync, parseOptions } from '@node-rs/argon2';
import { argon2idHash, ARGON2ID_PARAMETERS } from '../../src/passwords/hashing/argon2id.ts';
import { argon2Format } from '../../src/passwords/formats/argon2-format.ts';
import { readStoredHash } from '../../src/passwords/formats/format-table.ts';

const argon2idFormat = argon2Format('argon2id');
const current = argon2idHash('right');
const readable = (stored: string) => {
  const read = argon2idFormat.read(stored);
  if (typeof read === 'string') throw new Error(read);
  return read;
};
const withParameters = (parameters: string) => current.replace('m=19456,t=2,p=1', parameters);

test('L04 new hashes are argon2id PHC strings with m=19456, t=2, p=1, 16 bytes of salt and 32 of tag', () => {
  expect(current).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(parseOptions(current)).toMatchObject({
    memoryCost: 19_456,
    timeCost: 2,
    parallelism: 1,
    outputLen: 32,
    saltLen: 16,
  });
  expect(argon2idHash('right')).not.toBe(current);
});

test('reads what it writes', () => {
  const read = readable(current);
  expect(read).toMatchObject({ work: 1, needsRehash: false });
  expect(read.verify('right')).toBe(true);
  expect(read.verify('wrong')).toBe(false);
});

describe('L04 detects weaker hashes', () => {
  test.each([
    ['less memory', { memoryCost: 19_455, timeCost: 3 }, true],
    ['fewer passes', { memoryCost: 19_456, timeCost: 1 }, true],
    ['a short salt', { memoryCost: 19_456, timeCost: 2, salt: Buffer.alloc(15) }, true],
    ['a short tag', { memoryCost: 19_456, timeCost: 2, outputLen: 31 }, true],
    ['more memory in one pass', { memoryCost: 47_104, timeCost: 1 }, false],
    ['more of everything', { memoryCost: 65_536, timeCost: 3 }, false],
  ])('%s', (_, options, needsRehash) => {
    const read = readable(hashSync('right', options));
    expect(read.needsRehash).toBe(needsRehash);
    expect(read.verify('right')).toBe(true);
  });
});

test('a salt that is longer than the library reads is named as such', () => {
  const withSalt = (bytes: number) =>
    hashSync('right', { memoryCost: 64, timeCost: 1, salt: Buffer.alloc(bytes) });
  expect(readable(withSalt(48)).verify('right')).toBe(true);
  const [start = '', tag = ''] = withSalt(48).split('A'.repeat(64));
  expect(argon2idFormat.read(`${start}${'A'.repeat(86)}${tag}`)).toBe(
    'has a salt of 64 bytes; the maximum for argon2id is 48',
  );
});

describe('refuses to compute', () => {
  test.each([
    ['too much memory', withParameters('m=262145,t=1,p=1')],
    ['the largest 32-bit memory', withParameters('m=4294967295,t=1,p=1')],
    ['too many passes', withParameters('m=19456,t=11,p=1')],
    ['too many lanes', withParameters('m=19456,t=2,p=17')],
    ['no passes', withParameters('m=19456,t=0,p=1')],
    ['less memory than the algorithm permits', withParameters('m=15,t=2,p=2')],
    ['leading zeros', withParameters('m=019456,t=2,p=1')],
    ['another order', withParameters('t=2,m=19456,p=1')],
    ['a key id', withParameters('m=19456,t=2,p=1,keyid=AAAA')],
    ['another version', current.replace('v=19', 'v=16')],
    ['no version', current.replace('v=19$', '')],
    ['padding', `${current}=`],
    ['a line break', `${current}\n`],
    ['no tag', current.slice(0, current.lastIndexOf('$'))],
    ['a prefix only', '$argon2id$'],
  ])('%s', (_, stored) => {
    expect(readStoredHash(stored)).toBe('damaged');
  });

  test('a text longer than any format needs', () => {
    expect(readStoredHash(`$argon2id$${'A'.repeat(1_000_000)}`)).toBe('damaged');
  });

  test.each([
    '',
    'plain text',
    '5f4dcc3b5aa765d61d8327deb882cf99',
    '$argon2$v=19$m=19456,t=2,p=1$AAAA$AAAA',
    '$ARGON2ID$',
  ])('a format that it does not know: %j', (stored) => {
    expect(readStoredHash(stored)).toBe('unknown-format');
  });
});

test('accepts the maximum parameters', () => {
  expect(readable(withParameters('m=262144,t=10,p=16')).work).toBeGreaterThan(60);
  expect(ARGON2ID_PARAMETERS.memoryKib).toBe(19_456);
});
