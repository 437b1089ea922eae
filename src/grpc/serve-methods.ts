import type {
  MethodDefinition,
  Server,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { ruleOf } from './method-table.ts';
import { withStrictDecoding } from './strict-decoding.ts';
import { type Authenticate, unary, type UnaryHandler } from './unary.ts';

/** One handler for every method of a generated service. */
export type ServiceHandlers<Service> = {
  readonly [Method in keyof Service]: Service[Method] extends {
    requestSerialize: (value: infer Request) => Buffer;
    responseSerialize: (value: infer Response) => Buffer;
  }
    ? UnaryHandler<Request, Response>
    : never;
};

/** Adds one of our services: strict decoding, the method's rule and the guard around its handler. */
export function serveMethods<Service extends object>(
  server: Server,
  service: Service,
  authenticate: Authenticate,
  handlers: ServiceHandlers<Service>,
): void {
  const definition: Record<string, MethodDefinition<unknown, unknown>> = {};
  const implementation: UntypedServiceImplementation = {};
  const methods = service as Record<string, MethodDefinition<unknown, unknown>>;
  for (const [name, handler] of Object.entries(handlers as Record<string, UnaryHandler<unknown, unknown>>)) {
    const method = methods[name];
    if (!method) throw new Error(`the contract has no method ${name}`);
    definition[name] = withStrictDecoding(method);
    implementation[name] = unary(ruleOf(method.path), authenticate, handler);
  }
  server.addService(definition, implementation);
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
