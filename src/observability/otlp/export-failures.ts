import type { Signal, TelemetrySettings } from '../../config/telemetry/telemetry-settings.ts';

/** Counts the exports that a collector did not take, and reports why. */
export class ExportFailures {
  readonly #warn: (detail: string) => void;
  readonly #urls: ReadonlyMap<Signal, string>;
  readonly #counts = new Map<Signal, number>();

  constructor(telemetry: TelemetrySettings | null, warn: (detail: string) => void) {
    const urls = (['traces', 'metrics'] as const).flatMap((signal) => {
      const otlp = telemetry?.[signal];
      return otlp ? [[signal, otlp.url] as const] : [];
    });
    this.#urls = new Map(urls);
    for (const [signal] of urls) this.#counts.set(signal, 0);
    this.#warn = warn;
  }

  /** The number of failed exports of each signal that is sent. */
  get counts(): readonly (readonly [labels: readonly string[], count: number])[] {
    return [...this.#counts].map(([signal, count]) => [[signal], count] as const);
  }

  readonly record = (signal: Signal, error: unknown): void => {
    this.#counts.set(signal, (this.#counts.get(signal) ?? 0) + 1);
    this.#warn(`${signal} cannot be sent to ${this.#urls.get(signal) ?? ''}: ${reasonOf(error)}`);
  };
}

/** The code of an error where it has one. The collector's own words are left out: they could differ each time. */
export function reasonOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return 'no answer';
  // By their members, not by their class: an error of the SDK may be of another realm.
  const { code, name, message, errors, cause } = error as {
    readonly code?: unknown;
    readonly name?: string;
    readonly message?: string;
    readonly errors?: readonly unknown[];
    readonly cause?: unknown;
  };
  if (typeof code === 'number' && name === 'OTLPExporterError') return `HTTP ${code}`;
  // The SDK keeps no more of the status than that it may be tried again.
  if (message === 'Export failed with retryable status')
    return 'HTTP 429, 502, 503 or 504 until the time limit';
  if (typeof code === 'string') return code;
  if (errors && errors.length > 0) return reasonOf(errors[0]);
  return cause === undefined ? (message ?? 'no answer') : reasonOf(cause);
}
