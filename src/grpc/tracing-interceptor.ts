import {
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status as Code,
} from '@grpc/grpc-js';

import type { CallTrace, Tracing } from '../observability/tracing/open-telemetry.ts';
import { contextOf } from './attached-context.ts';

/** Traces every call; stands before all other interceptors, so that its span lasts as long as the call. */
export function tracingInterceptor(tracing: Pick<Tracing, 'startCall'>): ServerInterceptor {
  return (method, intercepted) => {
    const call: ServerInterceptingCallInterface = intercepted;
    let trace: CallTrace | undefined;
    let end: (code: Code) => void = () => undefined;
    const within = (part: () => void) => (trace ? trace.run(part) : part());

    const start = call.start.bind(call);
    call.start = (listener) => {
      start({
        onReceiveMetadata(metadata) {
          const started = tracing.startCall(method.path, (name) => metadata.get(name).map(String));
          trace = started;
          end = (code) => started.end(code, contextOf(metadata));
          within(() => listener.onReceiveMetadata(metadata));
        },
        onReceiveMessage: (message) => listener.onReceiveMessage(message),
        onReceiveHalfClose: () => within(() => listener.onReceiveHalfClose()),
        onCancel() {
          end(Code.CANCELLED);
          listener.onCancel();
        },
      });
    };
    const sendStatus = call.sendStatus.bind(call);
    call.sendStatus = (status) => {
      end(status.code);
      sendStatus(status);
    };
    return call as unknown as ServerInterceptingCall;
  };
}
