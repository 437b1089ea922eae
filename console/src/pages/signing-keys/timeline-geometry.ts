import type { KeyLife, PhaseKind } from './key-life.ts';

/** A part of time that the timeline shows, in ms. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** How much of time can be shown; null: everything. */
export const spans: Readonly<Record<string, { readonly title: string; readonly ms: number | null }>> = {
  hour: { title: '1 hour', ms: HOUR },
  day: { title: '1 day', ms: DAY },
  week: { title: '1 week', ms: 7 * DAY },
  month: { title: '40 days', ms: 40 * DAY },
  all: { title: 'Everything', ms: null },
};

/** The part of a span that lies before now. */
const PAST = 0.7;
/** What stands free at the right of everything. */
const MARGIN = 0.06;
/** A key that was made this moment still has a timeline. */
const MIN_MS = 60_000;

/** The name of the smallest span in which everything that is to come can be seen; everything, when nothing is to come. */
export function fittingSpan(lives: readonly KeyLife[], nowMs: number): string {
  const lastMs = Math.max(nowMs, ...timesOf(lives));
  if (lastMs === nowMs) return 'all';
  const fits = ([, { ms }]: [string, { ms: number | null }]) =>
    ms !== null && nowMs + ms * (1 - PAST) >= lastMs;
  return Object.entries(spans).find(fits)?.[0] ?? 'all';
}

export function spanOf(name: string, lives: readonly KeyLife[], nowMs: number): Span {
  const ms = (Object.hasOwn(spans, name) ? spans[name] : null)?.ms ?? null;
  if (ms !== null) return { fromMs: nowMs - ms * PAST, toMs: nowMs + ms * (1 - PAST) };
  const times = timesOf(lives);
  const fromMs = Math.min(nowMs - MIN_MS, ...times);
  const toMs = Math.max(nowMs, ...times);
  return { fromMs, toMs: toMs + (toMs - fromMs) * MARGIN };
}

function timesOf(lives: readonly KeyLife[]): number[] {
  return lives.flatMap(({ phases, endMs }) => [
    ...phases.map(({ fromMs }) => fromMs),
    ...(endMs === null ? [] : [endMs]),
  ]);
}

/** A bar, in percent of the width. */
export interface Bar {
  readonly kind: PhaseKind;
  readonly x: number;
  readonly width: number;
  /** What lies after now. */
  readonly isPlanned: boolean;
}

/** A change of a key within the span. */
export interface Mark {
  readonly what: PhaseKind | 'gone' | 'revoked';
  readonly atMs: number;
  readonly x: number;
  /** Its time stands left of it, at the right edge. */
  readonly isLeft: boolean;
  /** The line below the bar on which its time is written; null where there is no room. */
  readonly line: number | null;
}

export interface Row {
  readonly life: KeyLife;
  readonly bars: readonly Bar[];
  readonly marks: readonly Mark[];
}

/** A phase that is too short for the scale stays visible, percent. */
const MIN_WIDTH = 0.5;
/** The room that a time needs beside the next one, percent. */
const LABEL_WIDTH = 17;
const LABEL_LINES = 2;

/** The rows of the timeline: keys of which something lies within the span. */
export function rowsOf(lives: readonly KeyLife[], span: Span, nowMs: number): Row[] {
  return lives
    .filter(({ createdAtMs, endMs }) => createdAtMs <= span.toMs && (endMs ?? Infinity) >= span.fromMs)
    .map((life) => ({ life, bars: barsOf(life, span, nowMs), marks: marksOf(life, span) }));
}

/** Where a time lies, percent of the width; at the edge when it is outside. */
export function position(atMs: number, { fromMs, toMs }: Span): number {
  return Math.min(100, Math.max(0, ((atMs - fromMs) / (toMs - fromMs)) * 100));
}

function barsOf({ phases }: KeyLife, span: Span, nowMs: number): Bar[] {
  return phases.flatMap(({ kind, fromMs, toMs }) => {
    const endMs = toMs ?? span.toMs;
    if (endMs < span.fromMs || fromMs > span.toMs) return [];
    const bar = (startMs: number, stopMs: number, isPlanned: boolean): Bar[] => {
      if (stopMs <= startMs) return [];
      const x = position(startMs, span);
      const width = Math.max(MIN_WIDTH, position(stopMs, span) - x);
      return [{ kind, x: Math.min(x, 100 - width), width, isPlanned }];
    };
    return [...bar(fromMs, Math.min(endMs, nowMs), false), ...bar(Math.max(fromMs, nowMs), endMs, true)];
  });
}

function marksOf({ phases, endMs, isRevoked }: KeyLife, span: Span): Mark[] {
  const changes: Pick<Mark, 'what' | 'atMs'>[] = phases.map(({ kind, fromMs }) => ({
    what: kind,
    atMs: fromMs,
  }));
  if (endMs !== null) changes.push({ what: isRevoked ? 'revoked' : 'gone', atMs: endMs });
  const lines = Array.from({ length: LABEL_LINES }, (): [number, number][] => []);
  return changes
    .filter(({ atMs }) => atMs >= span.fromMs && atMs <= span.toMs)
    .map((change) => {
      const x = position(change.atMs, span);
      const isLeft = x > 100 - LABEL_WIDTH;
      const room: [number, number] = isLeft ? [x - LABEL_WIDTH, x] : [x, x + LABEL_WIDTH];
      const line = lines.findIndex((taken) => taken.every(([from, to]) => room[1] <= from || room[0] >= to));
      if (line >= 0) lines[line]?.push(room);
      return { ...change, x, isLeft, line: line < 0 ? null : line };
    });
}

const STEPS = [
  60_000,
  300_000,
  600_000,
  HOUR,
  3 * HOUR,
  6 * HOUR,
  DAY,
  7 * DAY,
  30 * DAY,
  90 * DAY,
  365 * DAY,
];
const MAX_TICKS = 7;

/** The times of the axis. @param zoneMs what local time is ahead of UTC, so that days begin at midnight */
export function ticksOf({ fromMs, toMs }: Span, zoneMs: number): number[] {
  const step = STEPS.find((ms) => (toMs - fromMs) / ms <= MAX_TICKS) ?? (toMs - fromMs) / MAX_TICKS;
  const first = Math.ceil((fromMs + zoneMs) / step) * step - zoneMs;
  return Array.from({ length: Math.floor((toMs - first) / step) + 1 }, (_, index) => first + index * step);
}
