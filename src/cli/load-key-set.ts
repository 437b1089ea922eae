import { Readable } from 'node:stream';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';
import { tell } from './output.ts';
import { readText, readTextFile } from './read-text.ts';

const mostBytes = 1024 * 1024;
const timeoutMs = 5000;

/**
 * The JWKS document in a file or at an http(s) address, parsed and not yet believed. Nothing but the request for the
 * set leaves the machine. An answer after 5 seconds, beyond 1 MiB, or at another address than the one given is refused.
 */
export async function loadKeySet(source: string): Promise<unknown> {
  const text = /^https?:\/\//i.test(source)
    ? await fetchKeySet(source)
    : await readTextFile(source, 'the key set', mostBytes);
  try {
    return JSON.parse(text);
  } catch {
    throw new CommandFailure(exitCodes.refused, 'the key set is not JSON', 'Check what --jwks names.');
  }
}

async function fetchKeySet(address: string): Promise<string> {
  if (!URL.canParse(address)) {
    throw new CommandFailure(
      exitCodes.wrongUse,
      'what --jwks names is not an address',
      'Write http(s)://HOST:PORT/PATH, as in https://auth.example.com/.well-known/jwks.json, or give a file.',
    );
  }
  if (/^http:/i.test(address) && !isLoopback(address)) {
    tell('The key set comes without TLS: whoever is on the way may have changed its keys.');
  }
  try {
    const response = await fetch(address, { redirect: 'error', signal: AbortSignal.timeout(timeoutMs) });
    if (!response.ok || response.body === null) throw new Error(`it answers ${response.status}`);
    return await readText(Readable.fromWeb(response.body), 'the key set', mostBytes);
  } catch (cause) {
    if (cause instanceof CommandFailure) throw cause;
    throw new CommandFailure(
      exitCodes.unavailable,
      `the key set could not be fetched: ${reasonOf(cause)}`,
      'Check the address and that the service runs, or save the set and give the file.',
      { cause },
    );
  }
}

/** `fetch failed` says nothing; the system's code in its cause does. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `no answer within ${timeoutMs / 1000} seconds`;
  const { code } = (error.cause instanceof Error ? error.cause : error) as NodeJS.ErrnoException;
  return code ?? (error.cause instanceof Error ? error.cause.message : error.message);
}

function isLoopback(address: string): boolean {
  return /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(new URL(address).hostname);
}
