import {
  getChannelzHandlers,
  getChannelzServiceDefinition,
  type Server,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';

import { Rejected } from '../domain/rejection.ts';
import { ruleOf } from '../rpc/method-table.ts';
import { unary } from './unary.ts';

type Answer = (call: { request: unknown }, callback: (error: unknown, message?: unknown) => void) => void;

/**
 * Channelz: what grpc-js knows of the servers, channels and connections of this process. It has addresses, certificates
 * and counts, and nothing of a call. grpc-js loads the proto file here, and not before.
 */
export function addChannelz(server: Server): void {
  const definition = getChannelzServiceDefinition();
  const answers = getChannelzHandlers() as unknown as Record<string, Answer>;
  const implementation: UntypedServiceImplementation = {};
  for (const [name, { path }] of Object.entries(definition)) {
    const answer = answers[name];
    if (!answer) throw new Error(`this version of @grpc/grpc-js has no handler for ${path}`);
    const run = (request: unknown) => {
      let found: unknown = null;
      try {
        answer({ request }, (_error, message) => (found = message));
      } catch {
        // grpc-js throws for a connection that it has closed and whose peer has not.
      }
      if (!found) throw new Rejected({ kind: 'not-found', resource: 'channel, server or socket' });
      return found;
    };
    implementation[name] = unary(ruleOf(path), run, run);
  }
  server.addService(definition, implementation);
}
