/** The maximum size of one request message after decompression, bytes. */
export const MAX_MESSAGE_BYTES = 64 * 1024;
