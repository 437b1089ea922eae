import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
const programs = join(root, 'test', 'interop', 'verifiers');
const withoutIndentation = (text: string) => text.replace(/^[ \t]+/gm, '').trim();

test('the code for JWT libraries is that of the programs which test/interop runs', () => {
  const page = readFileSync(join(root, 'docs', 'verifying.md'), 'utf8');
  const section = page.slice(page.indexOf('## With another JWT library'));
  const blocks = [...section.matchAll(/^```(?:java|go|python|mjs)\n(.*?)^```$/gms)].map(
    ([, code = '']) => code,
  );
  const tested = readdirSync(programs, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => withoutIndentation(readFileSync(join(entry.parentPath, entry.name), 'utf8')));
  expect(blocks.length).toBeGreaterThanOrEqual(8);
  expect(
    blocks.filter((block) => !tested.some((program) => program.includes(withoutIndentation(block)))),
  ).toEqual([]);
});
