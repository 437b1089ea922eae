import { expect, test } from '@jest/globals';

import type { Email } from '../../../src/features/users/email.ts';
import { SeenTexts } from '../../../src/features/users/import/seen-texts.ts';

test('each of many e-mails is found again at its first position', () => {
  const seen = new SeenTexts();
  const emails = Array.from({ length: 20_000 }, (_, index) => `p${index}@example.com` as Email);
  for (const [index, email] of emails.entries()) expect(seen.add(email, index)).toBeUndefined();
  for (const [index, email] of emails.entries()) expect(seen.add(email, 99)).toBe(index);
});
