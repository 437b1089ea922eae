import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';

import { Rejected } from '../../domain/rejection.ts';
import { Code } from '../../rpc/status-code.ts';
import { MAX_MESSAGE_BYTES } from '../../rpc/size-limits.ts';
import { invalidRequest, ProtocolFault } from './rpc-protocol.ts';

const unzip = promisify(gunzip);

/** @throws ProtocolFault */
export function requireSupported(coding: unknown, field: string): asserts coding is string | undefined {
  if (![undefined, '', 'identity', 'gzip'].includes(coding as string | undefined))
    throw new ProtocolFault(Code.UNIMPLEMENTED, `${field}: only gzip and identity are supported`);
}

/**
 * The content of a message that is compressed as its header says.
 *
 * @param field the name of the header
 * @throws ProtocolFault, Rejected `message-too-large` as soon as the content exceeds the limit, `field-invalid`
 */
export async function decompressed(
  bytes: Buffer,
  coding: string | undefined,
  field: string,
): Promise<Buffer> {
  requireSupported(coding, field);
  if (coding !== 'gzip') return bytes;
  try {
    return await unzip(bytes, { maxOutputLength: MAX_MESSAGE_BYTES });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ERR_BUFFER_TOO_LARGE')
      throw new Rejected({ kind: 'message-too-large', maxBytes: MAX_MESSAGE_BYTES }, { cause });
    throw invalidRequest(field, 'the message is not in gzip format', { cause });
  }
}
