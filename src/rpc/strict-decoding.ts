import { isAscii } from 'node:buffer';

import { BinaryReader } from '@bufbuild/protobuf/wire';

/** Keeps a byte order mark and refuses invalid UTF-8, so that two different passwords never decode to the same text. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** ASCII bytes, such as those of a token, are the same text in UTF-8 and in Latin-1, which decodes faster. */
function decodeText(bytes: Uint8Array): string {
  return isAscii(bytes)
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
    : utf8.decode(bytes);
}

/**
 * The same method with a request decoder that refuses invalid UTF-8, which the generated decoder replaces by U+FFFD.
 * The generated decoder also accepts a reader, although its type has only bytes.
 */
export function withStrictDecoding<Method extends { requestDeserialize: (bytes: Buffer) => unknown }>(
  method: Method,
): Method {
  return {
    ...method,
    requestDeserialize: (bytes) => {
      const reader: unknown = new BinaryReader(bytes, decodeText);
      return method.requestDeserialize(reader as Buffer);
    },
  };
}
