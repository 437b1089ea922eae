import { AsyncLocalStorage } from 'node:async_hooks';

import {
  type Metadata,
  type ServerInterceptingCall,
  type ServerInterceptor,
  type ServerInterceptingCallInterface,
  status as Code,
} from '@grpc/grpc-js';
import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  trace,
} from '@opentelemetry/api';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-base';

import type { SpanName, Tracer } from '../domain/tracer.ts';
import { endCallSpan, startCallSpan } from './call-span.ts';

/** Traces of calls, for as long as a process runs. */
export interface Tracing extends Tracer {
  /** To stand before all others, so that its span lasts as long as the call. */
  readonly interceptor: ServerInterceptor;
  /** Sends what is not sent yet. */
  stop(): Promise<void>;
}

const kinds: Readonly<Record<SpanName, { kind: SpanKind; attributes: Readonly<Record<string, string>> }>> = {
  database: { kind: SpanKind.CLIENT, attributes: { 'db.system.name': 'postgresql' } },
  'password hash': { kind: SpanKind.INTERNAL, attributes: {} },
};
const EXPORT_LIMIT_MS = 2_000;

const headers: TextMapGetter<Metadata> = {
  get: (metadata, name) => metadata.get(name).map(String),
  keys: (metadata) => Object.keys(metadata.getMap()),
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

  const interceptor: ServerInterceptor = (method, intercepted) => {
    const call: ServerInterceptingCallInterface = intercepted;
    let span: Span | undefined;
    let context = ROOT_CONTEXT;
    let end: (code: Code) => void = () => undefined;

    const start = call.start.bind(call);
    call.start = (listener) => {
      start({
        onReceiveMetadata(metadata) {
          const parent = propagator.extract(ROOT_CONTEXT, metadata, headers);
          const started = startCallSpan(tracer, method.path, parent);
          span = started;
          context = trace.setSpan(parent, started);
          end = (code) => endCallSpan(started, code, metadata);
          active.run(context, () => listener.onReceiveMetadata(metadata));
        },
        onReceiveMessage: (message) => listener.onReceiveMessage(message),
        onReceiveHalfClose: () => active.run(context, () => listener.onReceiveHalfClose()),
        onCancel() {
          if (span?.isRecording() === true) end(Code.CANCELLED);
          listener.onCancel();
        },
      });
    };
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      if (span?.isRecording() === true) end(status.code);
      sendStatus(status);
    };
    return call as unknown as ServerInterceptingCall;
  };

  return {
    interceptor,
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
