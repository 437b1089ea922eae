import { Readable } from 'node:stream';

import { errorText } from '../../../domain/error-text.ts';
import { isLocalUrl } from '../../../net/listen-address.ts';
import { download, DownloadTooLarge } from '../../../trust/download.ts';
import { CommandFailure, wrongUse } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readText, readTextFile } from '../../read-text.ts';

const MAX_BYTES = 1024 * 1024;
const LIMIT_MS = 5_000;

/**
 * Reads a JWKS document from a file or an http(s) URL and parses it. Its content is not validated yet. Nothing but the
 * request for the set leaves the machine. A response that takes more than 5 seconds, exceeds 1 MiB or is a redirect is
 * refused.
 *
 * @param insecure whether the set may be fetched without TLS from another machine
 */
export async function loadKeySet(source: string, insecure: boolean): Promise<unknown> {
  const text = /^https?:\/\//i.test(source)
    ? await fetchKeySet(source, insecure)
    : await readTextFile(source, 'the key set', MAX_BYTES);
  try {
    return JSON.parse(text);
  } catch {
    throw new CommandFailure(
      exitCodes.refused,
      'the key set is not JSON',
      'Check the file or URL given with --jwks.',
    );
  }
}

async function fetchKeySet(address: string, insecure: boolean): Promise<string> {
  if (!URL.canParse(address)) {
    throw wrongUse(
      'the value of --jwks is not a valid URL',
      'Write http(s)://HOST:PORT/PATH, for example https://auth.example.com/.well-known/jwks.json, or give a file.',
    );
  }
  const url = new URL(address);
  if (url.protocol === 'http:' && !insecure && !isLocalUrl(url)) {
    throw wrongUse(
      'the key set would be fetched without TLS, so that anyone on the network could replace its keys',
      'Give an https URL or a file, or add --insecure if the connection is encrypted by other means.',
    );
  }
  try {
    const { body } = await download(url, { limitMs: LIMIT_MS, maxBytes: MAX_BYTES });
    return await readText(Readable.from([body]), 'the key set', MAX_BYTES);
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    if (cause instanceof DownloadTooLarge) {
      const message = `the key set is larger than ${MAX_BYTES / 1024} KiB`;
      throw new CommandFailure(exitCodes.refused, message, 'Check the URL given with --jwks.', { cause });
    }
    throw new CommandFailure(
      exitCodes.unavailable,
      `the key set could not be fetched: ${errorText(cause)}`,
      'Check the URL and that the service is running, or save the key set and give the file.',
      { cause },
    );
  }
}
