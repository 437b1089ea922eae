/** Times a part of a call for its trace. Absent where no traces are wanted, so that nothing is paid for them. */
export interface Tracer {
  /** Runs work as a span below the call that it is part of; work of no call is only run. */
  span<T>(name: SpanName, work: () => Promise<T>): Promise<T>;
}

/** Fixed words: a trace tells what took time and never about whom. */
export type SpanName = 'database' | 'password hash';
