import { AsyncLocalStorage } from 'node:async_hooks';

import {
  type Context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

import type { SpanName, Tracer } from '../../domain/tracer.ts';
import type { CallContext } from '../../rpc/call-context.ts';
import { endCallSpan, startCallSpan } from './call-span.ts';

/** Traces the calls of a process. */
export interface Tracing extends Tracer {
  /**
   * Starts the span of a call.
   *
   * @param header returns the values of a request header, none when it was not sent
   */
  startCall(path: string, header: (name: string) => readonly string[]): CallTrace;
  /** Sends the remaining spans. */
  stop(): Promise<void>;
}

/** The trace of one call. */
export interface CallTrace {
  /** Runs work of the call; spans started in it become children of the call's span. */
  run<T>(work: () => T): T;
  /** Ends the span. Idempotent. */
  end(code: number, context: Pick<CallContext, 'path' | 'requestId' | 'reason'>): void;
}

const spanOptions: Readonly<
  Record<SpanName, { kind: SpanKind; attributes: Readonly<Record<string, string>> }>
> = {
  database: { kind: SpanKind.CLIENT, attributes: { 'db.system.name': 'postgresql' } },
  'password hash': { kind: SpanKind.INTERNAL, attributes: {} },
};
const EXPORT_LIMIT_MS = 2_000;

type HeaderReader = (name: string) => readonly string[];

const headerGetter: TextMapGetter<HeaderReader> = {
  get: (header, name) => [...header(name)],
  // The W3C propagator reads headers by name only.
  keys: () => [],
};

/**
 * Starts OpenTelemetry without registering anything globally, so that it does not affect other code in the process. The
 * SDK's standard variables control sampling, batches and headers (`OTEL_TRACES_SAMPLER`, `OTEL_BSP_...`,
 * `OTEL_EXPORTER_OTLP_HEADERS`). By default the sampling decision of the caller is followed.
 *
 * @param endpoint base URL of a collector for OTLP over HTTP, such as `http://127.0.0.1:4318`
 */
export function startTracing(endpoint: string, serviceName: string): Tracing {
  const exporter = new OTLPTraceExporter({
    url: `${endpoint.replace(/\/$/, '')}/v1/traces`,
    timeoutMillis: EXPORT_LIMIT_MS,
  });
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({ 'service.name': serviceName }),
    spanProcessors: [new BatchSpanProcessor(exporter)],
  });
  const tracer = provider.getTracer('postern');
  const propagator = new W3CTraceContextPropagator();
  const active = new AsyncLocalStorage<Context>();

  const startCall = (path: string, header: HeaderReader): CallTrace => {
    const parent = propagator.extract(ROOT_CONTEXT, header, headerGetter);
    const span = startCallSpan(tracer, path, parent);
    const context = trace.setSpan(parent, span);
    return {
      run: (work) => active.run(context, work),
      end(code, call) {
        if (span.isRecording()) endCallSpan(span, code, call);
      },
    };
  };

  return {
    startCall,
    async span(name, work) {
      const context = active.getStore();
      if (context === undefined) return work();
      const span = tracer.startSpan(name, spanOptions[name], context);
      try {
        return await work();
      } catch (error) {
        // Not the error's message, which may contain text sent by the caller.
        span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : '' });
        throw error;
      } finally {
        span.end();
      }
    },
    stop: () => provider.shutdown(),
  };
}
