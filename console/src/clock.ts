/** What the clock of the service is ahead of the browser's, ms. */
let offsetMs = 0;

/** A `date` has whole seconds, and an answer takes a while to come: smaller differences mean nothing. */
const MIN_OFFSET_MS = 5_000;

/** Learns the clock of the service from the `date` of a response. */
export function observeDate(date: string | null): void {
  offsetMs = clockOffset(date, Date.now());
}

/** Now by the clock of the service, in ms: times of keys and events are its times, and the browser's clock may be wrong. */
export function serverNow(): number {
  return Date.now() + offsetMs;
}

/** What a clock is ahead of ours, ms; zero while it is about the same. */
export function clockOffset(date: string | null, nowMs: number): number {
  const ms = Date.parse(date ?? '');
  const offset = ms + 500 - nowMs;
  return Number.isNaN(ms) || Math.abs(offset) < MIN_OFFSET_MS ? 0 : offset;
}
