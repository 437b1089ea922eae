/** Records parts of a call as spans of its trace. Absent when tracing is off, so that it costs nothing. */
export interface Tracer {
  /** Runs work as a child span of the current call. Without a current call, only runs the work. */
  span<T>(name: SpanName, work: () => Promise<T>, attributes?: Readonly<Record<string, string>>): Promise<T>;
}

/** Fixed names: a trace shows what took time and contains no data about users. */
export type SpanName = 'database' | 'password hash';
