import { BinaryReader } from '@bufbuild/protobuf/wire';
import type { MethodDefinition } from '@grpc/grpc-js';

/** Keeps a byte order mark, refuses what is not UTF-8: two different passwords never decode to one text. */
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

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
      const reader: unknown = new BinaryReader(bytes, (text) => utf8.decode(text));
      return method.requestDeserialize(reader as Buffer);
    },
  };
}
