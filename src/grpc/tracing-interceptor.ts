import {
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status as Code,
} from '@grpc/grpc-js';

import type { CallTrace, Tracing } from '../observability/tracing/open-telemetry.ts';
import { contextOf } from './attached-context.ts';

/** Traces every call. It is the first interceptor, so that the span lasts as long as the call. */
export function tracingInterceptor(tracing: Pick<Tracing, 'startCall'>): ServerInterceptor {
  return (method, intercepted) => {
    const call: ServerInterceptingCallInterface = intercepted;
    let trace: CallTrace | undefined;
    let end: (code: Code) => void = () => undefined;
    const runInTrace = (work: () => void) => (trace ? trace.run(work) : work());

    const start = call.start.bind(call);
    call.start = (listener) => {
      start({
        onReceiveMetadata(metadata) {
          const started = tracing.startCall(method.path, (name) => metadata.get(name).map(String));
          trace = started;
          end = (code) => started.end(code, contextOf(metadata));
          runInTrace(() => listener.onReceiveMetadata(metadata));
        },
        onReceiveMessage: (message) => listener.onReceiveMessage(message),
        onReceiveHalfClose: () => runInTrace(() => listener.onReceiveHalfClose()),
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
