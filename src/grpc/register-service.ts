import type {
  MethodDefinition,
  Server,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

import type {
  ClientStreamHandler,
  ServerStreamHandler,
  ServiceHandlers,
  UnaryHandler,
} from '../rpc/handlers.ts';
import { clientStream } from './client-stream.ts';
import type { FastPath } from './fast-path/fast-path.ts';
import { EncodedMessage } from '../rpc/encoded-message.ts';
import { type MethodGuard, guardMethod } from '../rpc/method-guard.ts';
import { ruleOf } from '../rpc/method-table.ts';
import { withStrictDecoding } from '../rpc/strict-decoding.ts';
import { serverStream } from './server-stream.ts';
import { unary } from './unary.ts';

/** Adds a service of Postern, with strict decoding, and with the method's rule and the guard around each handler. */
export function serveMethods<Service extends object>(
  server: Server,
  service: Service,
  guard: MethodGuard | null,
  handlers: ServiceHandlers<Service>,
  fastPath?: FastPath,
): void {
  const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
  const implementation: UntypedServiceImplementation = {};
  const methods = service as Record<string, MethodDefinition<unknown, unknown>>;
  for (const [name, handler] of Object.entries(handlers)) {
    const method = methods[name];
    if (!method) throw new Error(`the contract has no method ${name}`);
    const rule = ruleOf(method.path);
    definition[name] = { ...withStrictDecoding(method), responseSerialize: serializeUnlessEncoded(method) };
    // The type `ServiceHandlers` ensures that each handler is of the kind that its method's flags require.
    if (method.requestStream) {
      const run = handler as ClientStreamHandler<unknown, unknown>;
      implementation[name] = clientStream(rule, guardMethod(method.path, rule, guard, run));
    } else if (method.responseStream) {
      const run = handler as ServerStreamHandler<unknown, unknown>;
      implementation[name] = serverStream(
        rule,
        guardMethod(method.path, rule, guard, () => undefined),
        run,
      );
    } else {
      const run = handler as UnaryHandler<unknown, unknown>;
      const guarded = guardMethod(method.path, rule, guard, run);
      implementation[name] = unary(rule, guarded, run);
      if (rule.isHot) fastPath?.add(definition[name], rule, guarded);
    }
  }
  server.addService(definition, implementation);
}

function serializeUnlessEncoded({
  responseSerialize,
}: MethodDefinition<unknown, unknown>): (response: unknown) => Buffer {
  return (response) => (response instanceof EncodedMessage ? response.bytes : responseSerialize(response));
}

/** A server for services that a library adds. It throws for a method that is not in the method table. */
export function foreignServices(server: Server): Server {
  const checked: Pick<Server, 'addService'> = {
    addService(definition: ServiceDefinition, implementation: UntypedServiceImplementation) {
      for (const { path } of Object.values(definition)) ruleOf(path);
      server.addService(definition, implementation);
    },
  };
  // The libraries use no other method of a server.
  return checked as Server;
}
