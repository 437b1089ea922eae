import type { Metadata } from '@grpc/grpc-js';

import type { CallContext, SampledSpan } from '../rpc/call-context.ts';

const contexts = new WeakMap<Metadata, CallContext>();

const traces = new WeakMap<Metadata, SampledSpan>();

/** Attaches the span of a call, before it has a context. */
export function attachTrace(metadata: Metadata, span: SampledSpan): void {
  traces.set(metadata, span);
}

/** Attaches a context to its call's metadata, the only object that both interceptors and handlers get. */
export function attachContext(metadata: Metadata, context: CallContext): void {
  context.trace = traces.get(metadata);
  contexts.set(metadata, context);
}

/** @throws Error for a call that did not pass the call interceptor, which is a programming error */
export function contextOf(metadata: Metadata): CallContext {
  const context = contexts.get(metadata);
  if (!context) throw new Error('the call did not pass the call interceptor');
  return context;
}
