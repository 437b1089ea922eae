import { createRequire } from 'node:module';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** The proto file of gRPC, which grpc-js brings. */
export const channelzProto = join(
  createRequire(import.meta.url).resolve('@grpc/grpc-js/package.json'),
  '../proto/channelz.proto',
);

interface Server {
  readonly ref: { readonly server_id: string };
  readonly data: Readonly<Record<string, unknown>>;
  readonly listen_socket: readonly { readonly name: string }[];
}

export interface ChannelzAnswer {
  readonly code: grpc.status;
  readonly response: Partial<{
    readonly server: readonly Server[];
    readonly socket_ref: readonly { readonly socket_id: string }[];
    readonly socket: Readonly<Record<string, unknown>>;
    readonly channel: readonly { readonly data: Readonly<Record<string, unknown>> }[];
  }> | null;
}

const definition = loadSync(channelzProto, { keepCase: true, longs: String, enums: String, defaults: true })[
  'grpc.channelz.v1.Channelz'
] as grpc.ServiceDefinition;

/** One call of `grpc.channelz.v1.Channelz`. */
export function channelz(client: grpc.Client, name: string, request: object = {}): Promise<ChannelzAnswer> {
  const method = definition[name] as grpc.MethodDefinition<object, object> | undefined;
  if (!method) throw new Error(`channelz has no method ${name}`);
  const { path, requestSerialize, responseDeserialize } = method;
  return new Promise((resolve) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, response) =>
      resolve({
        code: error?.code ?? grpc.status.OK,
        response: (response ?? null) as ChannelzAnswer['response'],
      }),
    );
  });
}
