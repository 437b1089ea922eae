import { DurationHistogram } from '../../domain/histogram.ts';
import type { FinishedCall, RefusalAfterEnd } from '../../rpc/call-context.ts';
import { methodTable } from '../../rpc/method-table.ts';

/** What became of the calls of one method. */
export interface MethodCounts {
  /** The path without its first slash; `unknown` for what the method table does not know. */
  readonly method: string;
  /** By status code. */
  readonly codes: Readonly<Float64Array>;
  /** By reason; from closed lists, never text of a caller. */
  readonly reasons: ReadonlyMap<string, number>;
  /** Absent for streams, which last as long as they are wanted. */
  readonly duration: DurationHistogram | null;
}

interface Row extends MethodCounts {
  readonly codes: Float64Array;
  readonly reasons: Map<string, number>;
}

const CODES = 17;

/**
 * Counts calls in plain numbers, which are read when somebody asks: a verified token costs one look-up and three
 * additions. A method is one of the method table, so that no caller can make the list longer (O04).
 */
export class CallCounts {
  readonly #rows: ReadonlyMap<string, Row>;
  readonly #unknown = newRow('unknown', false);

  constructor() {
    this.#rows = new Map(
      Object.entries(methodTable).map(([path, { deadlineMs }]) => [
        path,
        newRow(path.slice(1), deadlineMs !== null),
      ]),
    );
  }

  record({ path, code, reason, durationMs }: FinishedCall): void {
    const row = this.#rows.get(path) ?? this.#unknown;
    row.codes[code] = (row.codes[code] ?? 0) + 1;
    row.duration?.observe(durationMs);
    if (reason !== undefined) row.reasons.set(reason, (row.reasons.get(reason) ?? 0) + 1);
  }

  /** The reason of a call that is counted without one: its caller had left when it was refused. */
  recordRefusalAfterEnd({ path, reason }: RefusalAfterEnd): void {
    const { reasons } = this.#rows.get(path) ?? this.#unknown;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }

  /** Of the methods that were called. */
  *[Symbol.iterator](): Generator<MethodCounts, void, undefined> {
    for (const row of [...this.#rows.values(), this.#unknown]) {
      if (row.codes.some((count) => count > 0)) yield row;
    }
  }

  /** Of one method of the table, called or not. */
  of(path: string): MethodCounts {
    return this.#rows.get(path) ?? this.#unknown;
  }
}

function newRow(method: string, isTimed: boolean): Row {
  return {
    method,
    codes: new Float64Array(CODES),
    reasons: new Map(),
    duration: isTimed ? new DurationHistogram() : null,
  };
}
