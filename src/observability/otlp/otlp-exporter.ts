import { type ExportResult, ExportResultCode } from '@opentelemetry/core';
import {
  createOtlpNetworkExportDelegate,
  ExporterMetrics,
  OTLPExporterBase,
} from '@opentelemetry/otlp-exporter-base';
import {
  createOtlpHttpExportDelegate,
  httpAgentFactoryFromOptions,
} from '@opentelemetry/otlp-exporter-base/node-http';
import {
  JsonMetricsSerializer,
  JsonTraceSerializer,
  MetricsExporterMetricsHelper,
  ProtobufMetricsSerializer,
  ProtobufTraceSerializer,
  TraceExporterMetricsHelper,
} from '@opentelemetry/otlp-transformer';
import type { PushMetricExporter, ResourceMetrics } from '@opentelemetry/sdk-metrics';
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace';

import type { OtlpSettings, Signal } from '../../config/telemetry/telemetry-settings.ts';
import { tlsPems } from '../../net/tls/pem-files.ts';

/** Sends a request of OTLP over gRPC. The transport is given from outside: this folder knows none. */
export interface OtlpTransport {
  send(
    data: Uint8Array,
    timeoutMs: number,
  ): Promise<
    | { status: 'success'; data?: Uint8Array }
    | { status: 'failure'; error: Error }
    | { status: 'retryable'; error?: Error }
  >;
  shutdown(): void;
}
export type GrpcTransport = (otlp: OtlpSettings, signal: Signal) => OtlpTransport;

/** What both exporters need. */
export interface ExportParts {
  readonly grpcTransport: GrpcTransport;
  readonly onFailure: (signal: Signal, error: unknown) => void;
}

/** At most this many requests wait for the collector at once, so that a slow one costs bounded memory. */
const MAX_CONCURRENT_EXPORTS = 8;

/** An exporter that reports what fails. The SDK itself would only write it to a diagnostic log that nobody reads. */
class ReportingExporter<Items> extends OTLPExporterBase<Items> {
  readonly #report: (error: unknown) => void;

  constructor(
    delegate: ConstructorParameters<typeof OTLPExporterBase<Items>>[0],
    report: (error: unknown) => void,
  ) {
    super(delegate);
    this.#report = report;
  }

  override export(items: Items, done: (result: ExportResult) => void): void {
    super.export(items, (result) => {
      if (result.code !== ExportResultCode.SUCCESS) this.#report(result.error);
      done(result);
    });
  }
}

export function traceExporter(otlp: OtlpSettings, parts: ExportParts): SpanExporter {
  const serializer = otlp.protocol === 'http/json' ? JsonTraceSerializer : ProtobufTraceSerializer;
  return new ReportingExporter<ReadableSpan[]>(
    delegateOf(otlp, 'traces', serializer, TraceExporterMetricsHelper, parts),
    (error) => parts.onFailure('traces', error),
  );
}

export function metricExporter(otlp: OtlpSettings, parts: ExportParts): PushMetricExporter {
  const serializer = otlp.protocol === 'http/json' ? JsonMetricsSerializer : ProtobufMetricsSerializer;
  return new ReportingExporter<ResourceMetrics>(
    delegateOf(otlp, 'metrics', serializer, MetricsExporterMetricsHelper, parts),
    (error) => parts.onFailure('metrics', error),
  );
}

type HttpParameters<Items, Response> = Parameters<typeof createOtlpHttpExportDelegate<Items, Response>>;

function delegateOf<Items, Response>(
  otlp: OtlpSettings,
  signal: Signal,
  serializer: HttpParameters<Items, Response>[1],
  metricsHelper: HttpParameters<Items, Response>[3],
  { grpcTransport }: ExportParts,
) {
  const shared = {
    timeoutMillis: otlp.timeoutMs,
    concurrencyLimit: MAX_CONCURRENT_EXPORTS,
    compression: otlp.gzip ? 'gzip' : 'none',
  } as const;
  const componentType = `otlp_${signal}_exporter`;
  if (otlp.protocol === 'grpc') {
    const selfMetrics = new ExporterMetrics<Items>({
      componentType,
      metricsHelper,
      url: otlp.url,
      meterProvider: undefined,
      responseAttributesFromError: () => ({}),
    });
    return createOtlpNetworkExportDelegate(shared, serializer, selfMetrics, grpcTransport(otlp, signal));
  }
  const contentType = otlp.protocol === 'http/json' ? 'application/json' : 'application/x-protobuf';
  return createOtlpHttpExportDelegate(
    {
      ...shared,
      url: otlp.url,
      headers: () => Promise.resolve({ ...otlp.headers, 'Content-Type': contentType }),
      agentFactory: httpAgentFactoryFromOptions({ keepAlive: true, ...tlsPems(otlp) }),
      userAgent: 'postern',
    },
    serializer,
    componentType,
    metricsHelper,
    undefined,
  );
}
