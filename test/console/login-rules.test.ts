import { describe, expect, test } from '@jest/globals';

import { isAskedAgain, noPasskeysAt, offersOf, waitText } from '../../console/src/pages/login/login-rules.ts';

const app = { kind: 'TOTP' };
const passkey = { kind: 'PASSKEY' };
const here = { needsFactor: false, browserHasPasskeys: true };

describe('the question for a fresh proof', () => {
  test('C55 is the password only for a user without a second factor, and nothing where a factor is needed', () => {
    expect(offersOf({}, here)).toMatchObject({ field: 'password', passkey: false, impossible: '' });
    expect(offersOf({}, { ...here, needsFactor: true })).toMatchObject({ field: null, addsFactor: true });
  });

  test('C55 is a code, a recovery code or a passkey, whichever the user has and the browser can use', () => {
    expect(offersOf({ factors: [app], recoveryCodesLeft: 3 }, here)).toMatchObject({
      ...{ field: 'code', label: 'Code of your authenticator app, or a recovery code', passkey: false },
    });
    expect(offersOf({ factors: [app] }, here).label).toBe('Code of your authenticator app');
    expect(offersOf({ factors: [passkey] }, here)).toMatchObject({ field: null, passkey: true });
    const elsewhere = { ...here, browserHasPasskeys: false };
    expect(offersOf({ factors: [passkey], recoveryCodesLeft: 1 }, elsewhere)).toMatchObject({
      ...{ field: 'code', label: 'A recovery code', passkey: false },
    });
    const { field, impossible, addsFactor } = offersOf({ factors: [passkey] }, elsewhere);
    expect([field, addsFactor]).toEqual([null, false]);
    expect(impossible).toContain('passkey');
  });

  test('C55 comes again after it was declined for what a person does, not for what the page reads by itself', () => {
    expect(isAskedAgain('postern.v1.AdminService/GetOverview')).toBe(false);
    expect(isAskedAgain('postern.v1.AdminService/ListUsers')).toBe(false);
    expect(isAskedAgain('postern.v1.AdminService/UpdateUser')).toBe(true);
    expect(isAskedAgain('console/session')).toBe(true);
  });
});

test('C56 at an IP address the page says where passkeys can be used, with its own port', () => {
  expect(noPasskeysAt({ hostname: 'localhost', port: '8080' })).toBe(null);
  expect(noPasskeysAt({ hostname: '1.example.com', port: '' })).toBe(null);
  expect(noPasskeysAt({ hostname: '127.0.0.1', port: '8080' })).toContain('http://localhost:8080/console/');
  expect(noPasskeysAt({ hostname: '[::1]', port: '' })).toContain('http://localhost/console/');
  expect(noPasskeysAt({ hostname: '192.168.1.7', port: '80' })).not.toContain('localhost');
  expect(noPasskeysAt({ hostname: '[fd00::7]', port: '80' })).toContain('by its name');
});

test('C53 a wait is said in seconds, and from two minutes on in whole minutes that are never too short', () => {
  expect([1, 5, 90, 91, 120, 121, 3600].map(waitText)).toEqual([
    ...['a second', '5 seconds', '90 seconds', '2 minutes', '2 minutes', '3 minutes', '60 minutes'],
  ]);
});
