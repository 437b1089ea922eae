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

/** Traces of calls, for as long as a process runs. */
export interface Tracing extends Tracer {
  /** Begins the span of a call. @param header gives the values of one of its headers, none when it was not sent */
  startCall(path: string, header: (name: string) => readonly string[]): CallTrace;
  /** Sends what is not sent yet. */
  stop(): Promise<void>;
}

/** The trace of one call. */
export interface CallTrace {
  /** Runs a part of the call, so that spans that it opens belong to the call. */
  run<T>(part: () => T): T;
  /** Ends the span; does nothing after the first time. */
  end(code: number, context: Pick<CallContext, 'requestId' | 'reason'>): void;
}

const kinds: Readonly<Record<SpanName, { kind: SpanKind; attributes: Readonly<Record<string, string>> }>> = {
  database: { kind: SpanKind.CLIENT, attributes: { 'db.system.name': 'postgresql' } },
  'password hash': { kind: SpanKind.INTERNAL, attributes: {} },
};
const EXPORT_LIMIT_MS = 2_000;

type Headers = (name: string) => readonly string[];

const headers: TextMapGetter<Headers> = {
  get: (header, name) => [...header(name)],
  // W3C trace context asks by name alone.
  keys: () => [],
};

/**
 * OpenTelemetry, loaded only when somebody has named a collector. Nothing is global: what else lives in the process keeps
 * its own. The SDK's standard variables decide about sampling and batches (`OTEL_TRACES_SAMPLER`, `OTEL_BSP_...`,
 * `OTEL_EXPORTER_OTLP_HEADERS`); unless they say otherwise, a caller's decision to sample is followed.
 *
 * @param endpoint of a collector that speaks OTLP over HTTP, such as `http://127.0.0.1:4318`
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

  const startCall = (path: string, header: Headers): CallTrace => {
    const parent = propagator.extract(ROOT_CONTEXT, header, headers);
    const span = startCallSpan(tracer, path, parent);
    const context = trace.setSpan(parent, span);
    return {
      run: (part) => active.run(context, part),
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
      const span = tracer.startSpan(name, kinds[name], context);
      try {
        return await work();
      } catch (error) {
        // The error's text may hold what a caller sent; its name does not.
        span.setStatus({ code: SpanStatusCode.ERROR, message: error instanceof Error ? error.name : '' });
        throw error;
      } finally {
        span.end();
      }
    },
    stop: () => provider.shutdown(),
  };
}
