/** White on black, whatever the colours of the terminal: not every scanner reads an inverted code. */
const [COLOURS, RESET] = ['\u001b[97;40m', '\u001b[0m'];
/** Light modules around the code. Four are the standard; scanners find it with two, and a small terminal has room for them. */
const BORDER = 2;

/**
 * A QR code for a terminal with colours, two rows of modules in a line. The library is loaded by the first code.
 *
 * @returns lines that hold nothing but block characters and the codes of their colours
 */
export async function qrCodeLines(text: string): Promise<string[]> {
  const { default: encodeQr } = await import('qr');
  const lines = encodeQr(text, 'ascii', { ecc: 'low', border: BORDER }).trimEnd().split('\n');
  return lines.map((line) => `${COLOURS}${line}${RESET}`);
}
