import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { anyCharacter } from '../support/any-character.ts';
import type { TokenMode } from './forge.ts';
import { verifierUnderTest } from './verifier-under-test.ts';

const modes: readonly TokenMode[] = ['ES256', 'RS256', 'EdDSA', 'HS256'];
const runs = { numRuns: 1000 };

describe.each(modes)('a changed token, %s', (mode) => {
  const subject = verifierUnderTest(mode);
  const issued = subject.then(({ issue }) => issue());

  /** Changes the valid token and expects a refusal, unless the text stays the same. */
  async function expectRefused(change: (token: string) => string): Promise<void> {
    const token = await issued;
    const changed = change(token);
    if (changed === token) return;
    const { ok } = await (await subject).verifier.verify(changed);
    expect(ok).toBe(false);
  }

  test('T21 is refused with one bit of the text flipped', async () => {
    const bit = fc.record({ at: fc.nat(), bit: fc.nat(7) });
    const property = fc.asyncProperty(bit, ({ at, bit: flipped }) =>
      expectRefused((token) => {
        const bytes = Buffer.from(token);
        const index = at % bytes.length;
        bytes[index] = (bytes[index] ?? 0) ^ (1 << flipped);
        return bytes.toString('latin1');
      }),
    );
    await fc.assert(property, runs);
  });

  test('T21 is refused with one bit of the decoded header, claims or signature flipped', async () => {
    const bit = fc.record({ segment: fc.nat(2), at: fc.nat(), bit: fc.nat(7) });
    const property = fc.asyncProperty(bit, ({ segment, at, bit: flipped }) =>
      expectRefused((token) => {
        const segments = token.split('.').map((text) => Buffer.from(text, 'base64url'));
        const bytes = segments[segment] ?? Buffer.alloc(1);
        const index = at % bytes.length;
        bytes[index] = (bytes[index] ?? 0) ^ (1 << flipped);
        return segments.map((each) => each.toString('base64url')).join('.');
      }),
    );
    await fc.assert(property, runs);
  });

  test('T21 is refused when cut short, or with text inserted, removed or repeated', async () => {
    const edit = fc.record({
      at: fc.nat(),
      drop: fc.nat(8),
      insert: fc.string({ maxLength: 8, unit: anyCharacter }),
    });
    const splice = fc.asyncProperty(edit, ({ at, drop, insert }) =>
      expectRefused((token) => {
        const start = at % (token.length + 1);
        return token.slice(0, start) + insert + token.slice(start + drop);
      }),
    );
    await fc.assert(splice, runs);
    const cut = fc.asyncProperty(fc.nat(), (at) =>
      expectRefused((token) => token.slice(0, at % token.length)),
    );
    await fc.assert(cut, runs);
  });
});
