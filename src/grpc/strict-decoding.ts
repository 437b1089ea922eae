import { isAscii } from 'node:buffer';

import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { MethodDefinition } from '@grpc/grpc-js';

/** Keeps a byte order mark, refuses what is not UTF-8: two different passwords never decode to one text. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Of bytes that are all ASCII, as a token's are, every encoding makes the same text, and Latin-1 is the quickest. */
function decodeText(bytes: Uint8Array): string {
  return isAscii(bytes)
    ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
    : utf8.decode(bytes);
}

/**
 * The same method with a request decoder that refuses invalid UTF-8, which the generated one turns into U+FFFD. The
 * generated decoder takes a reader as well as bytes; its type speaks only of bytes.
 */
export function withStrictDecoding<Request, Response>(
  method: MethodDefinition<Request, Response>,
): MethodDefinition<Request, Response> {
  return {
    ...method,
    requestDeserialize: (bytes) => {
      const reader: unknown = new BinaryReader(bytes, decodeText);
      return method.requestDeserialize(reader as Buffer);
    },
  };
}
