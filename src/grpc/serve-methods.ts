import type {
  MethodDefinition,
  Server,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { clientStream, type ClientStreamHandler } from './client-stream.ts';
import type { DirectCalls } from './direct-calls.ts';
import { EncodedMessage } from './encoded-message.ts';
import { type Gate, letIn } from './let-in.ts';
import { ruleOf } from './method-table.ts';
import { serverStream, type ServerStreamHandler } from './server-stream.ts';
import { withStrictDecoding } from './strict-decoding.ts';
import { unary, type UnaryHandler } from './unary.ts';

/** One handler for every method of a generated service, of the kind that its definition asks for. */
export type ServiceHandlers<Service> = {
  readonly [Method in keyof Service]: Service[Method] extends {
    requestStream: infer RequestStream;
    responseStream: infer ResponseStream;
    requestSerialize: (value: infer Request) => Buffer;
    responseSerialize: (value: infer Response) => Buffer;
  }
    ? Handler<RequestStream, ResponseStream, Request, Response>
    : never;
};

/** The contract has no method with streams both ways. */
type Handler<RequestStream, ResponseStream, Request, Response> = RequestStream extends true
  ? ResponseStream extends true
    ? never
    : ClientStreamHandler<Request, Response>
  : ResponseStream extends true
    ? ServerStreamHandler<Request, Response>
    : UnaryHandler<Request, Response>;

/** Adds one of our services: strict decoding, the method's rule and the guard around its handler. */
export function serveMethods<Service extends object>(
  server: Server,
  service: Service,
  gate: Gate,
  handlers: ServiceHandlers<Service>,
  direct?: DirectCalls,
): void {
  const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
  const implementation: UntypedServiceImplementation = {};
  const methods = service as Record<string, MethodDefinition<unknown, unknown>>;
  for (const [name, handler] of Object.entries(handlers)) {
    const method = methods[name];
    if (!method) throw new Error(`the contract has no method ${name}`);
    const rule = ruleOf(method.path);
    definition[name] = { ...withStrictDecoding(method), responseSerialize: passingEncoded(method) };
    // `ServiceHandlers` has tied the kind of each handler to the flags of its method.
    if (method.requestStream) {
      const run = handler as ClientStreamHandler<unknown, unknown>;
      implementation[name] = clientStream(rule, letIn(rule, gate, run));
    } else if (method.responseStream) {
      const run = handler as ServerStreamHandler<unknown, unknown>;
      implementation[name] = serverStream(
        rule,
        letIn(rule, gate, () => undefined),
        run,
      );
    } else {
      const run = handler as UnaryHandler<unknown, unknown>;
      implementation[name] = unary(rule, letIn(rule, gate, run));
      if (rule.isHot) direct?.add(definition[name], rule, run);
    }
  }
  server.addService(definition, implementation);
}

function passingEncoded({
  responseSerialize,
}: MethodDefinition<unknown, unknown>): (response: unknown) => Buffer {
  return (response) => (response instanceof EncodedMessage ? response.bytes : responseSerialize(response));
}

/** Takes the services that a library brings, and refuses to add a method that the method table does not know. */
export function foreignServices(server: Server): Server {
  const guarded: Pick<Server, 'addService'> = {
    addService(definition: ServiceDefinition, implementation: UntypedServiceImplementation) {
      for (const { path } of Object.values(definition)) ruleOf(path);
      server.addService(definition, implementation);
    },
  };
  // The libraries call nothing else of a server.
  return guarded as Server;
}
