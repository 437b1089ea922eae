/**
 * A UUID of version 7 (RFC 9562 section 5.7): 48 bits of time, then 74 random bits, so that ids sort by age and
 * index pages fill in order.
 *
 * @param nowMs Unix time, ms
 * @param random 16 random bytes; the first six are not used
 */
export function uuidV7(nowMs: number, random: Uint8Array): string {
  const bytes = Buffer.from(random.subarray(0, 16));
  if (bytes.length !== 16) throw new RangeError('a UUID takes 16 random bytes');
  bytes.writeUIntBE(nowMs, 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return uuidOfBytes(bytes);
}

/** The text of a UUID, in lower case with hyphens, from its 16 bytes. */
export function uuidOfBytes(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The 16 bytes of a UUID. */
export function bytesOfUuid(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex');
}
