const REPORT_INTERVAL_MS = 60_000;
/** Texts that are told apart; faults differ in a few words only, and nobody's input is among them. */
const MAX_TEXTS = 100;

interface ReportedLine {
  reportedAtMs: number;
  repeats: number;
}

/**
 * Passes a line on at once, and the same line at most once a minute from then on, with how often it came meanwhile: a
 * fault that is met twice a second is one piece of news, not a hundred. A line that had stayed away begins anew.
 *
 * @param nowMs monotonic time, ms
 */
export function deduplicateLines(
  report: (line: string, again: number) => void,
  nowMs: () => number,
): (line: string) => void {
  const reported = new Map<string, ReportedLine>();
  return (line) => {
    const known = reported.get(line);
    if (known && nowMs() - known.reportedAtMs < REPORT_INTERVAL_MS) {
      known.repeats += 1;
      return;
    }
    if (reported.size >= MAX_TEXTS) reported.clear();
    const isOngoing = known !== undefined && nowMs() - known.reportedAtMs < 2 * REPORT_INTERVAL_MS;
    reported.set(line, { reportedAtMs: nowMs(), repeats: 0 });
    report(line, isOngoing ? known.repeats : 0);
  };
}
