import { setTimeout as pause } from 'node:timers/promises';

/**
 * Resolves when the time is over or the signal aborts, whichever comes first; whoever must know which looks at the signal.
 *
 * @param options `ref: false` lets the process end meanwhile
 */
export async function sleepUnlessAborted(
  delayMs: number,
  signal: AbortSignal | undefined,
  options: { readonly ref?: boolean } = {},
): Promise<void> {
  await pause(delayMs, undefined, { ...options, signal }).catch(() => undefined);
}
