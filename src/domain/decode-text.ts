/** Bytes that are no text, so that nothing can be said about what they mean. */
export class NotText extends Error {
  constructor(options?: ErrorOptions) {
    super('not text', options);
    this.name = 'NotText';
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf16 = new TextDecoder('utf-16le', { fatal: true, ignoreBOM: true });

/**
 * The one way in which text from files, pipes and downloads is read: passwords, secrets, tokens, PEM files, key sets,
 * lists of users. UTF-8, or UTF-16 with its byte order mark, as Windows PowerShell writes files. Byte order marks at the
 * beginning are removed: PowerShell puts one before what it pipes, and a second one before a file that has one already.
 * Bytes that are no text are refused rather than replaced: two different passwords must not become one.
 *
 * What callers send over gRPC is not read here. It is taken exactly as it is.
 *
 * @throws NotText
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return withoutByteOrderMark(decode(bytes, utf16Order(bytes)));
  } catch (cause) {
    throw new NotText({ cause });
  }
}

/** The byte order of UTF-16 text by its byte order mark, which is never valid UTF-8; null for other text. */
export function utf16Order(bytes: Uint8Array): 'le' | 'be' | null {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return 'le';
  return first === 0xfe && second === 0xff ? 'be' : null;
}

export function withoutByteOrderMark(text: string): string {
  let start = 0;
  while (text[start] === '\ufeff') start += 1;
  return text.slice(start);
}

/**
 * A value without the line ends after it, however many: editors and `echo` add one, and PowerShell adds one to every text
 * that it pipes. Spaces stay. A loop, because a pattern would try every run of line ends (quadratic time).
 */
export function withoutFinalLineEnds(text: string): string {
  let end = text.length;
  while (text[end - 1] === '\n' || text[end - 1] === '\r') end -= 1;
  return text.slice(0, end);
}

function decode(bytes: Uint8Array, order: 'le' | 'be' | null): string {
  if (order === null) return utf8.decode(bytes);
  // A Node.js with a small ICU decodes little-endian only.
  return utf16.decode(order === 'le' ? bytes : Buffer.from(bytes).swap16());
}
