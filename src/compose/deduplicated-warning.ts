import { deduplicateLines } from '../observability/deduplicate-lines.ts';
import type { Logger } from '../observability/log.ts';

/** Logs a detail as a warning of one event. The same detail is logged at most once a minute; `again` counts its repeats. */
export function deduplicatedWarning(log: Logger, event: string): (detail: string) => void {
  return deduplicateLines(
    (detail, again) => log.warn({ detail, ...(again > 0 && { again }) }, event),
    () => performance.now(),
  );
}
