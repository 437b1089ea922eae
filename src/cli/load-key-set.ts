import { Readable } from 'node:stream';

import { leadsToThisMachine } from '../net/listen-address.ts';
import { download, DownloadTooLarge } from '../trust/download.ts';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';
import { readText, readTextFile } from './read-text.ts';

const MAX_BYTES = 1024 * 1024;
const LIMIT_MS = 5_000;

/**
 * The JWKS document in a file or at an http(s) address, parsed and not yet believed. Nothing but the request for the
 * set leaves the machine. An answer after 5 seconds, beyond 1 MiB, or at another address than the one given is refused.
 *
 * @param insecure whether a set may come in plaintext from another machine
 */
export async function loadKeySet(source: string, insecure: boolean): Promise<unknown> {
  const text = /^https?:\/\//i.test(source)
    ? await fetchKeySet(source, insecure)
    : await readTextFile(source, 'the key set', MAX_BYTES);
  try {
    return JSON.parse(text);
  } catch {
    throw new CommandFailure(exitCodes.refused, 'the key set is not JSON', 'Check what --jwks names.');
  }
}

async function fetchKeySet(address: string, insecure: boolean): Promise<string> {
  if (!URL.canParse(address)) {
    throw new CommandFailure(
      exitCodes.wrongUse,
      'what --jwks names is not an address',
      'Write http(s)://HOST:PORT/PATH, as in https://auth.example.com/.well-known/jwks.json, or give a file.',
    );
  }
  const url = new URL(address);
  if (url.protocol === 'http:' && !insecure && !leadsToThisMachine(url)) {
    throw new CommandFailure(
      exitCodes.wrongUse,
      'the key set would come without TLS: whoever is on the way could put keys of his own into it',
      'Give an https address or a file, or --insecure if what lies between encrypts.',
    );
  }
  try {
    const { body } = await download(url, { limitMs: LIMIT_MS, maxBytes: MAX_BYTES });
    return await readText(Readable.from([body]), 'the key set', MAX_BYTES);
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    if (cause instanceof DownloadTooLarge) {
      const message = `the key set is longer than ${MAX_BYTES / 1024} KiB`;
      throw new CommandFailure(exitCodes.refused, message, 'Check where it comes from.', { cause });
    }
    throw new CommandFailure(
      exitCodes.unavailable,
      `the key set could not be fetched: ${cause instanceof Error ? cause.message : String(cause)}`,
      'Check the address and that the service runs, or save the set and give the file.',
      { cause },
    );
  }
}
