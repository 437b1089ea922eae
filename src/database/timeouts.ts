/**
 * A timer that does not mistake our own delay for the database's silence: when this process was busy, an answer may lie
 * unread in the socket at the moment the time is up, so what has arrived is read first.
 *
 * @returns takes the timer back
 */
export function startIoFairTimeout(ms: number, onTimeout: () => void): () => void {
  let reading: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    // Node polls its sockets between the timers and the immediates of one turn of its loop.
    reading = setImmediate(() => (reading = setImmediate(onTimeout)));
  }, ms);
  return () => {
    clearTimeout(timer);
    clearImmediate(reading);
  };
}

const TICKS = 10;

/**
 * A timer for what takes several exchanges, such as a handshake: while a crowd keeps our loop busy, each of them waits
 * for its turn. Time counts tick by tick, and a tick that came late for no more than a tick.
 *
 * @returns takes the timer back
 */
export function startBusyTolerantTimeout(ms: number, onTimeout: () => void): () => void {
  let left = TICKS;
  const ticking = setInterval(() => {
    left -= 1;
    if (left > 0) return;
    clearInterval(ticking);
    onTimeout();
  }, ms / TICKS);
  return () => clearInterval(ticking);
}
