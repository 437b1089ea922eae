/** A response that is encoded already, so that a thousand streams share its bytes. */
export class EncodedMessage {
  readonly bytes: Buffer;

  constructor(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}
