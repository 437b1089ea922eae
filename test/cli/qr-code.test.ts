import { expect, test } from '@jest/globals';
import jsqr from 'jsqr';

import { qrCodeLines } from '../../src/cli/qr-code.ts';

// Its declarations describe a default export that the CommonJS module does not have.
const decode = jsqr as unknown as typeof jsqr.default;

const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';

/** How many pixels a module has, so that the decoder sees an image and not single pixels. */
const SCALE = 4;
const [WHITE, BLACK] = [255, 0];

/** What a terminal shows, as an image of grey pixels. Two rows of modules are one line of text. */
function imageOf(lines: readonly string[]) {
  const rows = lines.flatMap((line) => {
    // eslint-disable-next-line no-control-regex -- the colours of a terminal
    const [, text = ''] = /^\u001b\[97;40m([█▀▄ ]+)\u001b\[0m$/.exec(line) ?? [];
    return ['█▀', '█▄'].map((light) => Array.from(text, (cell) => (light.includes(cell) ? WHITE : BLACK)));
  });
  const [width, height] = [(rows[0]?.length ?? 0) * SCALE, rows.length * SCALE];
  const pixels = Array.from({ length: height * width }, (_, index) => {
    const [y, x] = [Math.floor(index / width / SCALE), Math.floor((index % width) / SCALE)];
    return rows[y]?.[x] ?? BLACK;
  });
  const rgba = Uint8ClampedArray.from(pixels.flatMap((grey) => [grey, grey, grey, 255]));
  return { rgba, width, height };
}

test.each([
  ['a short address', `otpauth://totp/Postern:a%40b.example?secret=${secret}&issuer=Postern`],
  [
    'the longest one',
    `otpauth://totp/${'issuer.'.repeat(9)}:${'a'.repeat(64)}%40${'b'.repeat(180)}.example?secret=${secret}&issuer=${'issuer.'.repeat(9)}&algorithm=SHA1&digits=6&period=30`,
  ],
])('M60 an independent decoder reads the code of %s', async (_name, text) => {
  const lines = await qrCodeLines(text);
  const { rgba, width, height } = imageOf(lines);
  expect(decode(rgba, width, height, { inversionAttempts: 'dontInvert' })?.data).toBe(text);
});

test('the code of an ordinary address fits into a terminal of 80 columns', async () => {
  const lines = await qrCodeLines(`otpauth://totp/Postern:ann%40example.com?secret=${secret}&issuer=Postern`);
  expect(lines[0]?.match(/[█▀▄ ]/g)?.length).toBeLessThanOrEqual(60);
});
