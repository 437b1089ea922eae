/** The longest delay that a timer of Node takes; a longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * What the work comes to or, when that takes too long, what `onTimeout` returns or throws. Nothing ends the work but what
 * `onTimeout` does to it; how it ends then is nobody's business.
 *
 * The timer keeps the process alive until either has come. It also holds `onTimeout` and all that it refers to, so that
 * garbage collection does not take away what is to be ended, as it would with a signal that only the work refers to.
 */
export async function withTimeout<T>(work: PromiseLike<T>, limitMs: number, onTimeout: () => T): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeUp = new Promise<void>((resolve) => (timer = setTimeout(resolve, limitMs)));
  try {
    return await Promise.race([work, timeUp.then(onTimeout)]);
  } finally {
    clearTimeout(timer);
  }
}
