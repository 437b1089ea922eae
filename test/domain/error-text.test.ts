import { expect, test } from '@jest/globals';

import { errorText } from '../../src/domain/error-text.ts';

test.each([
  [new TypeError('no use'), 'no use'],
  ['a text', 'a text'],
  [undefined, 'undefined'],
  [null, 'null'],
])('the text of %p is %j', (thrown, text) => expect(errorText(thrown)).toBe(text));
