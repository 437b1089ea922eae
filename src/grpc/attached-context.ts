import type { Metadata } from '@grpc/grpc-js';

import type { CallContext } from '../rpc/call-context.ts';

const contexts = new WeakMap<Metadata, CallContext>();

/** Ties a context to its call's metadata, the one object that interceptors and handlers both see. */
export function attachContext(metadata: Metadata, context: CallContext): void {
  contexts.set(metadata, context);
}

export function contextOf(metadata: Metadata): CallContext {
  const context = contexts.get(metadata);
  if (!context) throw new Error('the call did not pass the call interceptor');
  return context;
}
