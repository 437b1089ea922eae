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
import type { Resource } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';

import type { TelemetrySettings } from '../../config/telemetry/telemetry-settings.ts';
import type { SpanName } from '../../domain/tracer.ts';
import { endCallSpan, startCallSpan } from './call-span.ts';
import type { CallTrace, HeaderReader, TracedCall, Tracing } from './tracing.ts';

const spanOptions: Readonly<
  Record<SpanName, { kind: SpanKind; attributes: Readonly<Record<string, string>> }>
> = {
  database: { kind: SpanKind.CLIENT, attributes: { 'db.system.name': 'postgresql' } },
  'password hash': { kind: SpanKind.INTERNAL, attributes: {} },
};

const headerGetter: TextMapGetter<HeaderReader> = {
  // `tracestate` is any text of the caller, and would be sent with each span.
  get: (header, name) => (name === 'traceparent' ? [...header(name)] : undefined),
  // The W3C propagator reads headers by name only.
  keys: () => [],
};

/** Starts tracing without registering anything globally, so that it does not affect other code in the process. */
export function startTracing(
  settings: TelemetrySettings,
  resource: Resource,
  exporter: SpanExporter,
): Tracing & { stop(): Promise<void> } {
  const { batch, followsCaller, writesOldAttributes } = settings;
  const provider = new TracerProvider({
    resource,
    sampler: samplerOf(settings.sampler),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: batch.queueSize,
        maxExportBatchSize: batch.size,
        scheduledDelayMillis: batch.delayMs,
        exportTimeoutMillis: batch.timeoutMs,
      }),
    ],
  });
  const tracer = provider.getTracer('postern');
  const propagator = new W3CTraceContextPropagator();
  const active = new AsyncLocalStorage<Context>();

  /** Most calls, where sampling is for their cost: these have no context of their own. */
  const notSampled: CallTrace = {
    sampled: undefined,
    // A request that was pipelined begins in the context of the one before.
    run: (work) => (active.getStore() === undefined ? work() : active.exit(work)),
    end: () => undefined,
  };
  const startCall = (call: TracedCall, header: HeaderReader): CallTrace => {
    const parent = followsCaller ? propagator.extract(ROOT_CONTEXT, header, headerGetter) : ROOT_CONTEXT;
    const span = startCallSpan(tracer, call, parent);
    if (!span.isRecording()) return notSampled;
    const context = trace.setSpan(parent, span);
    const { traceId, spanId } = span.spanContext();
    return {
      sampled: { traceId, spanId },
      run: (work) => active.run(context, work),
      end(finished, ofCall) {
        if (span.isRecording()) endCallSpan(span, call, finished, ofCall, writesOldAttributes);
      },
    };
  };

  return {
    startCall,
    async span(name, work, attributes) {
      const context = active.getStore();
      if (context === undefined) return work();
      const { kind, attributes: fixed } = spanOptions[name];
      const span = tracer.startSpan(name, { kind, attributes: { ...fixed, ...attributes } }, context);
      try {
        return await work();
      } catch (error) {
        // Not the error's message, which may contain text sent by the caller.
        const type = error instanceof Error ? error.name : '_OTHER';
        span.setAttribute('error.type', type);
        span.setStatus({ code: SpanStatusCode.ERROR, message: type });
        throw error;
      } finally {
        span.end();
      }
    },
    stop: () => provider.shutdown(),
  };
}

function samplerOf({ kind, ratio }: TelemetrySettings['sampler']): Sampler {
  const root = rootSampler(kind.replace('parentbased_', ''), ratio);
  return kind.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

function rootSampler(kind: string, ratio: number): Sampler {
  if (kind === 'traceidratio') return new TraceIdRatioBasedSampler(ratio);
  return kind === 'always_on' ? new AlwaysOnSampler() : new AlwaysOffSampler();
}
