import { describe, expect, test } from '@jest/globals';
import { hashSync } from '@node-rs/argon2';
import fc from 'fast-check';
import { argon2idHash } from '../../src/passwords/hashing/argon2id.ts';
import { HashRunner } from '../../src/passwords/hashing/hash-runner.ts';
import { passwordForms } from '../../src/passwords/password-policy.ts';

const dummy = argon2idHash('nobody has this one');
const current = argon2idHash('right');

function verify(stored: string | null, password: string, runner = new HashRunner(() => performance.now())) {
  return runner.run({ kind: 'verify', stored, dummy, passwords: passwordForms(password) });
}

test('a right password matches and a wrong one does not', () => {
  expect(verify(current, 'right')).toMatchObject({ matches: true, needsRehash: false, damage: null });
  expect(verify(current, 'wrong')).toMatchObject({ matches: false, needsRehash: false, damage: null });
});

test('L04 a weaker hash is reported for rehashing when the password is right', () => {
  const weaker = hashSync('right', { memoryCost: 4096, timeCost: 1 });
  expect(verify(weaker, 'right')).toMatchObject({ matches: true, needsRehash: true });
  expect(verify(weaker, 'wrong')).toMatchObject({ matches: false, needsRehash: false });
});

test('L01 no password matches the dummy hash, not even its own', () => {
  expect(verify(null, 'nobody has this one')).toMatchObject({ matches: false, damage: null });
  expect(verify('junk', 'nobody has this one')).toMatchObject({ matches: false, damage: 'unknown-format' });
});

test('damage that only the library detects is no match and does not throw', () => {
  // The last character of a 16-byte salt holds two bits; other bits set are not canonical base64.
  const [, , , , salt = ''] = current.split('$');
  const damaged = current.replace(salt, `${salt.slice(0, -1)}/`);
  expect(verify(damaged, 'right')).toMatchObject({ matches: false, damage: 'damaged' });
});

test('no stored text makes a check throw or match', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((rest) => `$argon2id$${rest}`),
        fc.nat(current.length - 1).map((at) => current.slice(0, at)),
        fc
          .tuple(fc.nat(current.length - 1), fc.string({ minLength: 1, maxLength: 1 }))
          .filter(([at, character]) => current[at] !== character && at > 30)
          .map(([at, character]) => current.slice(0, at) + character + current.slice(at + 1)),
      ),
      (stored) => {
        expect(verify(stored, 'right')).toMatchObject({ matches: false });
      },
    ),
    { numRuns: 60 },
  );
});

describe('L06 a password with several Unicode forms', () => {
  const typed = 'cr\u00e8me \ufb01ne';
  const forms = ['NFC', 'NFD', 'NFKC'] as const;
  const quick = { memoryCost: 64, timeCost: 1 };
  const strong = { memoryCost: 65_536, timeCost: 2 };

  test.each(forms)('matches an imported hash of its %s form, in one job', (form) => {
    const at = forms.indexOf(form);
    const weak = hashSync(typed.normalize(form), quick);
    expect(verify(weak, typed)).toMatchObject({ matches: true, needsRehash: true, compared: at + 1 });
    // A strong hash stays when it is one of NFC, as a hash of Postern's own would be.
    const kept = hashSync(typed.normalize(form), strong);
    expect(verify(kept, typed)).toMatchObject({ matches: true, needsRehash: at > 0, compared: at + 1 });
  });

  test('a wrong one is compared in each form with an imported hash, and once with a hash of Postern or none', () => {
    const compared = [hashSync('right', quick), argon2idHash('right'), null, 'junk'].map((stored) => {
      const verdict = verify(stored, typed);
      return [
        verdict.kind === 'verified' && verdict.matches,
        verdict.kind === 'verified' && verdict.compared,
      ];
    });
    expect(compared).toEqual([
      [false, 3],
      [false, 1],
      [false, 1],
      [false, 1],
    ]);
  });

  test("a hash of Postern's own is compared with NFC only", () => {
    expect(verify(argon2idHash(typed.normalize('NFC')), typed)).toMatchObject({ matches: true });
    expect(verify(argon2idHash(typed.normalize('NFD')), typed)).toMatchObject({
      matches: false,
      compared: 1,
    });
    expect(verify(argon2idHash(typed.normalize('NFKC')), typed)).toMatchObject({
      matches: false,
      compared: 1,
    });
  });
});

/** CPU time, so that other work on the machine does not count. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

test('L02 unknown users, damaged texts, weaker and current hashes cost the same', () => {
  const runner = new HashRunner(cpuMs);
  const cases = {
    current,
    unknown: null,
    damaged: 'junk',
    weaker: hashSync('right', { memoryCost: 4096, timeCost: 1 }),
    half: hashSync('right', { memoryCost: 19_456, timeCost: 1 }),
    // The estimated work of these is that of a current hash, their time is not.
    argon2i: `$argon2i$v=19$m=19456,t=2,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`,
    pbkdf2: `$pbkdf2$25000$${'A'.repeat(22)}$${'A'.repeat(27)}`,
  };
  const names = Object.keys(cases) as (keyof typeof cases)[];
  const times = new Map(names.map((name) => [name, [] as number[]]));
  for (let round = 0; round < 41; round++) {
    for (const name of names) times.get(name)?.push(verify(cases[name], 'wrong', runner).workMs);
  }
  const medianOf = (name: keyof typeof cases): number => times.get(name)?.sort((a, b) => a - b)[20] ?? NaN;
  for (const name of names) {
    const ratio = medianOf(name) / medianOf('current');
    // Medians of interleaved runs, so the bound can hold on a busy machine too.
    if (!(ratio > 0.8 && ratio < 1.25))
      throw new Error(`${name} takes ${ratio} of the time of a current hash`);
  }
});
