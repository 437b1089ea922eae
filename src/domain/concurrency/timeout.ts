/** The longest delay of a Node timer; a longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Resolves or rejects as `work` does or, after `limitMs`, as `onTimeout` does. The work is not cancelled unless `onTimeout`
 * does so; its result after the timeout is ignored.
 *
 * The timer keeps the process alive until then. It also references `onTimeout` and everything that it uses, so that the
 * object to cancel is not garbage collected, as happens with a signal that only the work references.
 */
export async function withTimeout<T>(work: PromiseLike<T>, limitMs: number, onTimeout: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)));
  try {
    return await Promise.race([work, timeout.then(onTimeout)]);
  } finally {
    clearTimeout(timer);
  }
}
