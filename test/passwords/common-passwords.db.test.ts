import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { checkNewPassword } from '../../src/passwords/password-policy.ts';
import { CommonPasswords, loadCommonPasswords } from '../../src/passwords/common-passwords.ts';

let common: CommonPasswords;
beforeAll(async () => {
  common = await loadCommonPasswords();
});

const faults = (password: string) =>
  checkNewPassword(password, {
    field: 'password',
    minLength: 12,
    context: ['ada', 'postern'],
    isCommon: (text) => common.has(text),
  }).map(({ description }) => description);
const tooCommon = 'is among the passwords that attackers try first; choose another';

describe('the packed list', () => {
  test('contains exactly the entries it was built from', () => {
    const list = ['b', 'aa', 'ab', 'ca', 'abc', 'zz', 'password'];
    const packed = new CommonPasswords(list);
    expect(list.filter((text) => packed.has(text))).toEqual(list);
    // `ba` and `bc` occur across two adjacent entries.
    for (const absent of ['', 'a', 'c', 'ba', 'bc', 'ac', 'abd', 'zzz', 'passwords', 'PASSWORD']) {
      expect(packed.has(absent)).toBe(false);
    }
  });

  test('L07 contains a full list of far more than 3000 passwords', () => {
    const first = '123456 password 12345678 qwerty letmein dragon baseball trustno1 iloveyou'.split(' ');
    expect(first.filter((text) => !common.has(text))).toEqual([]);
    // One entry of each length, from the end of the list.
    expect(['leavemealone', 'qwerty123456789', 'password1234'].every((text) => common.has(text))).toBe(true);
  });
});

describe('L07 with the real list', () => {
  test.each([
    'password1234',
    'Password123!',
    'qwertyuiop12',
    'iloveyou2024',
    'P@ssw0rd2024',
    'Summer2024!!',
    '!!!Football!',
    '123456789012',
    '1234567890ab',
    'Welcome12345',
    'qwerty123456',
    '1q2w3e4r5t6y',
    'LeaveMeAlone',
    'monkeymonkey',
    'administrator',
    'changeme1234',
    'trustno1trustno1',
  ])('%s is refused', (password) => {
    expect(faults(password)).toEqual([tooCommon]);
  });

  test.each([
    'correct horse battery staple',
    'monkey 4829 1173 0056',
    'my dragon sleeps at noon',
    'sunshine over the harbour',
    'twelve chars',
    'kettle-orbit-mango',
    'Tr0ub4dor&3 and more',
    'gT7#kd92mQ!x',
    'пароль из слов',
    'football is for tuesdays',
  ])('%s is accepted', (password) => {
    expect(faults(password)).toEqual([]);
  });

  test('no passphrase of four random words is refused', () => {
    const words =
      'acid bride crown drum eagle flute grape hotel index jelly kayak lemon mirror night olive'.split(' ');
    for (let at = 0; at + 4 <= words.length; at++) {
      expect(faults(words.slice(at, at + 4).join(' '))).toEqual([]);
      expect(faults(words.slice(at, at + 4).join(''))).toEqual([]);
    }
  });
});

test('the list takes little memory', () => {
  const built = fileURLToPath(new URL('../../dist/passwords/common-passwords.js', import.meta.url));
  const script = `
    const { loadCommonPasswords } = await import(${JSON.stringify(built)});
    gc();
    const before = process.memoryUsage().heapUsed;
    const common = await loadCommonPasswords();
    gc();
    const grewBytes = process.memoryUsage().heapUsed - before;
    console.log(common.has('password') ? grewBytes : NaN);
  `;
  const output = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', script]);
  expect(Number(output.toString())).toBeLessThan(2 * 2 ** 20);
});
