/** The prefix of a gRPC message over HTTP/2: one byte for the compression flag and four for the length. */
export const PREFIX_BYTES = 5;

/** An encoded response, whose bytes many streams or calls share. */
export class EncodedMessage {
  readonly bytes: Buffer;
  /** The message with its prefix, uncompressed. */
  readonly frame: Buffer;

  constructor(bytes: Uint8Array) {
    this.frame = Buffer.allocUnsafeSlow(PREFIX_BYTES + bytes.length);
    this.frame[0] = 0;
    this.frame.writeUInt32BE(bytes.length, 1);
    this.frame.set(bytes, PREFIX_BYTES);
    this.bytes = this.frame.subarray(PREFIX_BYTES);
  }
}
