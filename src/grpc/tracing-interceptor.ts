import {
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status as Code,
} from '@grpc/grpc-js';

import type { Socket } from 'node:net';

import type { CallTrace, TracedCall, Tracing } from '../observability/tracing/tracing.ts';
import { attachTrace, contextOf } from './attached-context.ts';

/** The private member of a grpc-js call that says where the call arrived. */
interface BaseCall {
  readonly stream?: { readonly session?: { readonly socket: Socket } | undefined };
}

/** Traces every call. It is the first interceptor, so that the span lasts as long as the call. */
export function tracingInterceptor(
  tracing: Pick<Tracing, 'startCall'>,
  socketPath: () => string | null,
): ServerInterceptor {
  return (method, intercepted) => {
    const call: ServerInterceptingCallInterface = intercepted;
    let trace: CallTrace | undefined;
    let end: (code: Code) => void = () => undefined;
    const runInTrace = (work: () => void) => (trace ? trace.run(work) : work());

    const start = call.start.bind(call);
    call.start = (listener) => {
      start({
        onReceiveMetadata(metadata) {
          const { socket } = (intercepted as unknown as BaseCall).stream?.session ?? {};
          const traced = tracedGrpcCall({ path: method.path, peer: call.getPeer() }, socket, socketPath());
          const started = tracing.startCall(traced, (name) => metadata.get(name).map(String));
          trace = started;
          if (started.sampled) attachTrace(metadata, started.sampled);
          end = (code) => started.end({ code }, contextOf(metadata));
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

/** @param socketPath that of a listener on a unix socket, otherwise null */
export function tracedGrpcCall(
  { path, peer }: Pick<TracedCall, 'path' | 'peer'>,
  socket: Socket | undefined,
  socketPath: string | null,
): TracedCall {
  return { path, system: 'grpc', peer, server: serverOf(socket, socketPath), protocolVersion: '2' };
}

/** The address at which a connection arrived. Not the authority that the caller sent, which may be any text. */
function serverOf(socket: Socket | undefined, socketPath: string | null): TracedCall['server'] {
  if (socketPath !== null) return { address: socketPath };
  const { localAddress, localPort } = socket ?? {};
  return localAddress === undefined || localPort === undefined
    ? undefined
    : { address: localAddress, port: localPort };
}
