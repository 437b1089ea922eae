import { expect, test } from '@jest/globals';

import { idToGive } from '../../../src/domain/validation.ts';
import { externalIdRule } from '../../../src/features/users/external-id.ts';

const faultsOf = (value: string) =>
  externalIdRule(value, 'external_id').map(({ description }) => description);

test.each([
  ['an integer of Django', '4711'],
  ['a sub of Auth0', 'auth0|5f7c8ec7c33c6c004bbafe82'],
  ['a UUID of Keycloak', 'F6F2E2D0-6C7B-4B0E-9D5A-0A3B7C1D2E3F'],
  ['a ULID', '01ARZ3NDEKTSV4RRFFQ69G5FAV'],
  ['a distinguished name', 'uid=ann,ou=people,dc=example,dc=com'],
  ['an ObjectId of MongoDB', '507f1f77bcf86cd799439011'],
  ['text of other scripts', '社員番号 42'],
  ['what only looks like an e-mail', 'ann@'],
  ['255 bytes', 'x'.repeat(255)],
  ['255 bytes of another script', 'ß'.repeat(127) + 'x'],
])('%s is an external_id', (_name, value) => {
  expect(faultsOf(value)).toEqual([]);
});

test.each([
  ['nothing', ''],
  ['256 bytes', 'x'.repeat(256)],
  ['256 bytes of another script', 'ß'.repeat(128)],
  ['a line break', 'a\nb'],
  ['NUL', 'a\0b'],
  ['an escape sequence', '\u001b[2J'],
  ['a line separator', 'a\u2028b'],
  ['half a character', '\ud800'],
  ['an e-mail', 'ann@example.com'],
  ['an e-mail in capitals', 'Ann@Example.COM'],
  ['an e-mail with spaces around', ' ann@example.com '],
])('%s is none', (_name, value) => {
  expect(faultsOf(value)).toHaveLength(1);
});

test.each(['01890a5d-ac96-774b-bcce-b302099a8057', 'f6f2e2d0-6c7b-4b0e-9d5a-0a3b7c1d2e3f'])(
  '%s can be given as an id',
  (id) => {
    expect(idToGive(id, 'id')).toEqual([]);
  },
);

test.each([
  '',
  '4711',
  'F6F2E2D0-6C7B-4B0E-9D5A-0A3B7C1D2E3F',
  'f6f2e2d06c7b4b0e9d5a0a3b7c1d2e3f',
  '{f6f2e2d0-6c7b-4b0e-9d5a-0a3b7c1d2e3f}',
  'urn:uuid:f6f2e2d0-6c7b-4b0e-9d5a-0a3b7c1d2e3f',
  ' f6f2e2d0-6c7b-4b0e-9d5a-0a3b7c1d2e3f',
  'f6f2e2d0-6c7b-4b0e-9d5a-0a3b7c1d2e3f\n',
  '00000000-0000-0000-0000-000000000000',
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
])('%j cannot', (id) => {
  expect(idToGive(id, 'id')).toHaveLength(1);
});
