import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatRelativeTime } from '../../src/cli/commands/token/relative-time.ts';
import { escapeControlCharacters } from '../../src/cli/output.ts';

test.each([
  [0, 'now'],
  [0.9, 'now'],
  [1, 'in 1 second'],
  [-59, '59 seconds ago'],
  [240, 'in 4 minutes'],
  [299.5, 'in 4 minutes'],
  [-3600, '1 hour ago'],
  [-3 * 86_400, '3 days ago'],
  [400 * 86_400, 'in 400 days'],
])('%d seconds are %j', (seconds, text) => expect(formatRelativeTime(seconds)).toBe(text));

test('control characters are escaped', () => {
  expect(escapeControlCharacters('a\u001b[31mb\u202ec\u009b1m\ud800')).toBe(
    'a\\u001b[31mb\\u202ec\\u009b1m\\ud800',
  );
  expect(escapeControlCharacters('Zoë 山田 🔑')).toBe('Zoë 山田 🔑');
});

test('escaped JSON is the same JSON', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const document = JSON.stringify(value);
      expect(JSON.parse(escapeControlCharacters(document))).toEqual(JSON.parse(document));
    }),
  );
});
