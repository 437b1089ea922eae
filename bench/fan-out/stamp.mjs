// The time of a revocation, as the id of the session that it revokes: a watcher in another process of the same machine then
// knows how late it is.

const PREFIX = '00000000-0000-7000-8000-';
const STAMP_BYTES = 6;

/** Microseconds of the monotonic clock, which all processes of a machine share. */
export const nowUs = () => Number(process.hrtime.bigint() / 1_000n);

let lastUs = 0;

/** Never the same id twice: many revocations at once get stamps of the next microseconds. */
export function stampedId() {
  lastUs = Math.max(lastUs + 1, nowUs());
  return PREFIX + lastUs.toString(16).padStart(2 * STAMP_BYTES, '0');
}

/** @param {Uint8Array} id the 16 bytes of a session id @returns {number | null} null for an id without a stamp */
export function stampOf(id) {
  const bytes = Buffer.from(id.buffer, id.byteOffset, id.length);
  const prefix = Buffer.from(PREFIX.replaceAll('-', ''), 'hex');
  if (!bytes.subarray(0, prefix.length).equals(prefix)) return null;
  return bytes.readUIntBE(prefix.length, STAMP_BYTES);
}
