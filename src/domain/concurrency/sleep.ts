import { setTimeout as pause } from 'node:timers/promises';

/**
 * Resolves after the delay or when the signal aborts, whichever comes first. Never rejects: check the signal to tell which.
 *
 * @param options `ref: false` allows the process to exit during the delay
 */
export async function sleepUnlessAborted(
  delayMs: number,
  signal: AbortSignal | undefined,
  options: { readonly ref?: boolean } = {},
): Promise<void> {
  await pause(delayMs, undefined, { ...options, signal }).catch(() => undefined);
}
