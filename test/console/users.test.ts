import { expect, test } from '@jest/globals';

import { roleChange } from '../../console/src/pages/users/role-change.ts';
import { filtersOf, isFiltered, requestOf, typedId } from '../../console/src/pages/users/user-filters.ts';
import { deviceOf } from '../../console/src/ui/device.ts';
import { wordsOf } from '../../console/src/ui/words.ts';

const filters = (query: string) => filtersOf(new URLSearchParams(query));

test('C30 the filters of the list stand in its address', () => {
  expect(filters('email=%20ann%20&role=reader&state=disabled')).toEqual({
    email: 'ann',
    role: 'reader',
    state: 'disabled',
  });
  expect(filters('state=whatever')).toEqual({ email: '', role: '', state: '' });
  expect(isFiltered(filters(''))).toBe(false);
  for (const query of ['email=a', 'role=a', 'state=enabled']) expect(isFiltered(filters(query))).toBe(true);
});

test('C30 a request without a state asks for enabled and disabled users', () => {
  expect(requestOf(filters(''))).toEqual({});
  expect(requestOf(filters('state=enabled'))).toEqual({ disabled: false });
  expect(requestOf(filters('email=ann&role=reader&state=disabled'))).toEqual({
    emailPrefix: 'ann',
    role: 'reader',
    disabled: true,
  });
});

test('an id in the field of the e-mail is recognized, and nothing else', () => {
  expect(typedId('01A220F1-C221-7284-8B16-3DBE47E2DA09')).toBe('01a220f1-c221-7284-8b16-3dbe47e2da09');
  for (const text of ['', 'ann', '01a220f1', '01a220f1-c221-7284-8b16-3dbe47e2da09x'])
    expect(typedId(text)).toBeNull();
});

const other = { isSelf: false, isOnlyAdmin: false };

test('a change of roles says what is gained and lost, and that sessions end', () => {
  expect(roleChange(['a', 'b'], ['b', 'c'], other)).toEqual({
    gained: ['c'],
    lost: ['a'],
    impossible: '',
    warnings: ['All sessions of the user end, so that no token keeps a role.'],
  });
  expect(roleChange(['a', 'b'], ['b', 'a'], other)).toEqual({
    gained: [],
    lost: [],
    impossible: '',
    warnings: [],
  });
});

test('C32 the role of the only administrator is not offered to be taken away', () => {
  const facts = { isSelf: true, isOnlyAdmin: true };
  expect(roleChange(['admin'], [], facts).impossible).toContain('the only administrator');
  expect(roleChange(['admin'], ['admin', 'reader'], facts).impossible).toBe('');
  expect(roleChange(['admin'], [], other).impossible).toBe('');
});

test('to make an administrator, and to give up the own role, is warned of', () => {
  expect(roleChange([], ['admin'], other).warnings[0]).toContain('everything that you can');
  const own = roleChange(['admin'], [], { isSelf: true, isOnlyAdmin: false }).warnings.join(' ');
  expect(own).toContain('your own role');
  expect(own).toContain('All your sessions end');
});

test.each([
  ['Mozilla/5.0 (Wayland; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', 'Firefox on Linux'],
  [
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0',
    'Edge on Windows',
  ],
  [
    'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36',
    'Chrome on Android',
  ],
  [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1',
    'Safari on iPhone',
  ],
  [
    'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15',
    'Safari on macOS',
  ],
  ['grpc-node-js/1.14.7', 'grpc-node-js/1.14.7'],
  ['<b>Chrome/1</b>', '<b>Chrome/1</b>'],
  ['', ''],
])('the device of %j', (userAgent, device) => {
  expect(deviceOf(userAgent)).toBe(device);
});

test('words are separated by spaces and commas, each once', () => {
  expect(wordsOf(' reader, editor  reader,,admin ')).toEqual(['reader', 'editor', 'admin']);
  expect(wordsOf('')).toEqual([]);
});
