/**
 * A timeout that reads pending input before it fires. When the event loop was busy, an answer may be waiting unread in
 * the socket at the moment the timer is due; it must not be reported as a timeout.
 *
 * @returns cancels the timeout
 */
export function startIoFairTimeout(ms: number, onTimeout: () => void): () => void {
  let reading: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    // Node polls sockets between the timers and the immediates of one iteration of the event loop.
    reading = setImmediate(() => (reading = setImmediate(onTimeout)));
  }, ms);
  return () => {
    clearTimeout(timer);
    clearImmediate(reading);
  };
}

const TICKS = 10;

/**
 * A timeout for work of several round trips, such as a handshake, each of which is delayed while the event loop is
 * busy. The time is counted in ticks, and a late tick counts as one, so the delay of a busy loop does not count.
 *
 * @returns cancels the timeout
 */
export function startBusyTolerantTimeout(ms: number, onTimeout: () => void): () => void {
  let ticksLeft = TICKS;
  const ticker = setInterval(() => {
    ticksLeft -= 1;
    if (ticksLeft > 0) return;
    clearInterval(ticker);
    onTimeout();
  }, ms / TICKS);
  return () => clearInterval(ticker);
}
