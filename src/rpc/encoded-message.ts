/** The length prefix of gRPC over HTTP/2: a flag for compression, and four bytes of length. */
export const PREFIX_BYTES = 5;

/** A response that is encoded already, so that a thousand streams, or calls, share its bytes. */
export class EncodedMessage {
  readonly bytes: Buffer;
  /** With its prefix, uncompressed. */
  readonly frame: Buffer;

  constructor(bytes: Uint8Array) {
    this.frame = Buffer.allocUnsafeSlow(PREFIX_BYTES + bytes.length);
    this.frame[0] = 0;
    this.frame.writeUInt32BE(bytes.length, 1);
    this.frame.set(bytes, PREFIX_BYTES);
    this.bytes = this.frame.subarray(PREFIX_BYTES);
  }
}
