import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources';

import type { OtlpSettings, Signal, TelemetrySettings } from '../../config/telemetry/telemetry-settings.ts';
import { withTimeout } from '../../domain/concurrency/timeout.ts';
import type { Collectors } from '../metrics/exposition.ts';
import { startTracing } from '../tracing/start-tracing.ts';
import type { Tracing } from '../tracing/tracing.ts';
import { startMetricExport } from './metric-export.ts';
import { type ExportParts, metricExporter, traceExporter } from './otlp-exporter.ts';

/** What of a process is sent to a collector. */
export interface Telemetry {
  /** Undefined when traces are not sent. */
  readonly tracing: Tracing | undefined;
  /** Sends these metrics from now on, if metrics are sent. */
  exportMetrics(collectors: Collectors): void;
  /** Sends an empty request. Resolves to what went wrong, or to undefined. */
  probe(signal: Signal): Promise<unknown>;
  /** Sends what is left, within a limit. Never rejects. */
  stop(): Promise<void>;
}

/** Identifies the process beside what the settings say. */
export interface ProcessIdentity {
  readonly version: string;
  readonly instanceId: string;
}

/** A collector that does not answer delays the end of the process by this at most. */
const STOP_LIMIT_MS = 2_000;

export function startTelemetry(
  settings: TelemetrySettings,
  { version, instanceId }: ProcessIdentity,
  parts: ExportParts,
): Telemetry {
  const resource = defaultResource().merge(
    resourceFromAttributes({
      'service.version': version,
      'service.instance.id': instanceId,
      ...settings.resource,
    }),
  );
  const { traces, metrics } = settings;
  const tracing = traces ? startTracing(settings, resource, traceExporter(traces, parts)) : undefined;
  let metricExport: { stop(): Promise<void> } | undefined;
  return {
    tracing,
    exportMetrics(collectors) {
      if (metrics)
        metricExport = startMetricExport(collectors, settings, resource, metricExporter(metrics, parts));
    },
    async probe(signal) {
      // Its end waits for the request, so that this must have the same limit.
      const inTime = (otlp: OtlpSettings) => ({
        ...otlp,
        timeoutMs: Math.min(otlp.timeoutMs, STOP_LIMIT_MS),
      });
      const exporter = {
        traces: traces && traceExporter(inTime(traces), parts),
        metrics: metrics && metricExporter(inTime(metrics), parts),
      };
      const sent = new Promise<unknown>((resolve) => {
        const done = ({ code, error }: ExportResult) =>
          resolve(code === ExportResultCode.SUCCESS ? undefined : (error ?? new Error('refused')));
        if (signal === 'traces') exporter.traces?.export([], done);
        else exporter.metrics?.export({ resource, scopeMetrics: [] }, done);
      });
      const late = new Error(`no answer within ${STOP_LIMIT_MS / 1000} seconds`);
      const failure = await withTimeout(sent, STOP_LIMIT_MS, () => late);
      await exporter[signal]?.shutdown();
      return failure;
    },
    async stop() {
      // A failure is counted and logged where it happens.
      const stopped = Promise.allSettled([tracing?.stop(), metricExport?.stop()]).then(() => undefined);
      await withTimeout(stopped, STOP_LIMIT_MS, () => undefined);
    },
  };
}
