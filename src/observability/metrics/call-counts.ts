import { DurationHistogram } from '../../domain/histogram.ts';
import type { FinishedCall, RefusalAfterEnd } from '../../rpc/call-context.ts';
import { methodTable } from '../../rpc/method-table.ts';

/** The finished calls of one method. */
export interface MethodCounts {
  /** The path without its leading slash; `unknown` for a path that is not in the method table. */
  readonly method: string;
  /** Number of calls by gRPC status code, 0 to 16. */
  readonly codes: Readonly<Float64Array>;
  /** Number of refusals by reason. Reasons are from closed lists, never text from a caller. */
  readonly reasons: ReadonlyMap<string, number>;
  /** Number of calls with the status OK that changed nothing (`FinishedCall.isNoOp`). */
  readonly noOps: number;
  /** Null for streams, which last as long as the client wants. */
  readonly duration: DurationHistogram | null;
}

interface MutableCounts extends MethodCounts {
  readonly codes: Float64Array;
  readonly reasons: Map<string, number>;
  noOps: number;
}

const CODE_COUNT = 17;

/**
 * Counts calls in plain numbers, which are read at each scrape. Recording a call costs one map lookup and three
 * additions. Only methods of the method table have counts of their own, so that no caller can add label values (O04).
 */
export class CallCounts {
  readonly #methods: ReadonlyMap<string, MutableCounts>;
  readonly #unknown = newCounts('unknown', false);

  constructor() {
    this.#methods = new Map(
      Object.entries(methodTable).map(([path, { deadlineMs }]) => [
        path,
        newCounts(path.slice(1), deadlineMs !== null),
      ]),
    );
  }

  record({ path, code, reason, durationMs, isNoOp, trace }: FinishedCall): void {
    const counts = this.#methods.get(path) ?? this.#unknown;
    const { codes, reasons, duration } = counts;
    if (isNoOp === true) counts.noOps += 1;
    codes[code] = (codes[code] ?? 0) + 1;
    duration?.observe(durationMs, trace);
    if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }

  /** Adds the reason of a call that was counted without one, because it had ended before it was refused. */
  recordRefusalAfterEnd({ path, reason }: RefusalAfterEnd): void {
    const { reasons } = this.#methods.get(path) ?? this.#unknown;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }

  /** The counts of the methods that were called. */
  *[Symbol.iterator](): Generator<MethodCounts, void, undefined> {
    for (const counts of [...this.#methods.values(), this.#unknown]) {
      if (counts.codes.some((count) => count > 0)) yield counts;
    }
  }

  /** The counts of one method, called or not; those of `unknown` for a path that is not in the method table. */
  of(path: string): MethodCounts {
    return this.#methods.get(path) ?? this.#unknown;
  }
}

function newCounts(method: string, isTimed: boolean): MutableCounts {
  return {
    method,
    codes: new Float64Array(CODE_COUNT),
    reasons: new Map(),
    noOps: 0,
    duration: isTimed ? new DurationHistogram() : null,
  };
}
