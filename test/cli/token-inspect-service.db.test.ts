import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { forge, json, Specimen } from '../security/forge.ts';
import { attackerKey } from '../security/hostile-headers.ts';
import { serviceUnderAttack, type ServiceUnderAttack } from '../security/running-service.ts';
import { runHere } from '../support/run-here.ts';

let subject: ServiceUnderAttack;
beforeAll(async () => {
  subject = await serviceUnderAttack('ES256');
});
afterAll(() => subject.service.stop());

function inspect(token: string, ...words: string[]) {
  const keySet = `${subject.service.httpUrl}/.well-known/jwks.json`;
  return runHere(['token', 'inspect', '-', '--jwks', keySet, ...words], { stdin: token });
}

/** The valid token with other claims or another kid, signed by the service's key or by an unrelated one. */
function forged(changes: { claims?: object; kid?: string; foreign?: boolean }): string {
  const { signingKey } = subject.setting;
  if (signingKey === null) throw new Error('the service gave no signing key');
  const { header, claims } = new Specimen(subject.setting);
  return forge(
    'ES256',
    json({ ...header, ...(changes.kid !== undefined && { kid: changes.kid }) }),
    json({ ...claims, ...changes.claims }),
    changes.foreign === true ? attackerKey('ES256') : signingKey,
  );
}

test("a token is verified with the key set of the service's own port", async () => {
  const { exitCode, stdout, stderr } = await inspect(subject.setting.validToken);
  expect({ exitCode, stderr }).toEqual({ exitCode: exitCodes.ok, stderr: '' });
  expect(stdout).toMatch(/^Signature\n {2}valid: /m);
  expect(stdout).toMatch(/^Verdict: valid, unless/m);
});

test.each([
  [
    'expired',
    () => forged({ claims: { exp: Math.floor(Date.now() / 1000) - 3600, iat: 1_700_000_000 } }),
    [],
    'TOKEN_EXPIRED',
  ],
  ['with a foreign signature', () => forged({ foreign: true }), [], 'TOKEN_SIGNATURE_INVALID'],
  ['with a key that is not published', () => forged({ kid: 'x'.repeat(43) }), [], 'TOKEN_KEY_UNKNOWN'],
  [
    'of another token type',
    () =>
      forge(
        'ES256',
        json({ ...new Specimen(subject.setting).header, typ: 'JWT' }),
        '{}',
        attackerKey('ES256'),
      ),
    [],
    'TOKEN_TYPE_INVALID',
  ],
  [
    'for another audience',
    () => subject.setting.validToken,
    ['--audience', 'billing'],
    'TOKEN_CLAIMS_INVALID',
  ],
  ['unreadable', () => subject.setting.validToken.replace('.', '=.'), [], 'TOKEN_MALFORMED'],
])(
  'a token that is %s is refused with its reason and an explanation',
  async (_name, token, words, reason) => {
    const { exitCode, stdout, stderr } = await inspect(token(), ...words);
    expect(exitCode).toBe(exitCodes.tokenRefused);
    expect(stdout).toMatch(new RegExp(`^  ${reason}: \\w.*`, 'm'));
    expect(stdout).toContain(`Verdict: refused, ${reason}`);
    expect(stderr).toContain(`the token would be refused: ${reason}`);
  },
);
