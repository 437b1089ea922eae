const EVERY_MS = 60_000;
/** Texts that are told apart; faults differ in a few words only, and nobody's input is among them. */
const MAX_TEXTS = 100;

interface Told {
  atMs: number;
  again: number;
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
  const told = new Map<string, Told>();
  return (line) => {
    const known = told.get(line);
    if (known && nowMs() - known.atMs < EVERY_MS) {
      known.again += 1;
      return;
    }
    if (told.size >= MAX_TEXTS) told.clear();
    const isSameTrouble = known !== undefined && nowMs() - known.atMs < 2 * EVERY_MS;
    told.set(line, { atMs: nowMs(), again: 0 });
    report(line, isSameTrouble ? known.again : 0);
  };
}
