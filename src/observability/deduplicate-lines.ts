const REPORT_INTERVAL_MS = 60_000;
/** Distinct lines that are remembered. There are few, since the lines contain no caller's input. */
const MAX_LINES = 100;

interface ReportedLine {
  reportedAtMs: number;
  repeats: number;
}

/**
 * Reports a line at once, and the same line at most once a minute after that. A line that is absent for two minutes
 * starts anew.
 *
 * @param report receives the line, and how often it was suppressed since its last report
 * @param nowMs monotonic time, ms
 */
export function deduplicateLines(
  report: (line: string, repeats: number) => void,
  nowMs: () => number,
): (line: string) => void {
  const reported = new Map<string, ReportedLine>();
  return (line) => {
    const last = reported.get(line);
    if (last && nowMs() - last.reportedAtMs < REPORT_INTERVAL_MS) {
      last.repeats += 1;
      return;
    }
    if (reported.size >= MAX_LINES) reported.clear();
    const isOngoing = last !== undefined && nowMs() - last.reportedAtMs < 2 * REPORT_INTERVAL_MS;
    reported.set(line, { reportedAtMs: nowMs(), repeats: 0 });
    report(line, isOngoing ? last.repeats : 0);
  };
}
