/**
 * A timer that does not mistake our own delay for the database's silence: when this process was busy, an answer may lie
 * unread in the socket at the moment the time is up, so what has arrived is read first.
 *
 * @returns takes the timer back
 */
export function startFairTimer(ms: number, strike: () => void): () => void {
  let reading: NodeJS.Immediate | undefined;
  const timer = setTimeout(() => {
    // Node polls its sockets between the timers and the immediates of one turn of its loop.
    reading = setImmediate(() => (reading = setImmediate(strike)));
  }, ms);
  return () => {
    clearTimeout(timer);
    clearImmediate(reading);
  };
}
