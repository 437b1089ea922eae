import type { Http2Server, ServerOptions } from 'node:http2';

import type { Server } from '@grpc/grpc-js';

/** The listeners of a bound server. grpc-js keeps them to itself, and has no option for what they are needed for here. */
export function http2ServersOf(server: Server): Http2Server[] {
  const { http2Servers } = server as unknown as { http2Servers?: Map<Http2Server, unknown> };
  if (!(http2Servers instanceof Map) || http2Servers.size === 0)
    throw new Error(
      'this version of @grpc/grpc-js keeps its listeners elsewhere; update grpc/grpc-js-internals.ts',
    );
  return [...http2Servers.keys()];
}

/** Adds to what Node's HTTP/2 is told of every listener of a server that is not bound yet. */
export function addHttp2Options(server: Server, options: object): void {
  const { commonServerOptions } = server as unknown as { commonServerOptions?: ServerOptions };
  if (typeof commonServerOptions !== 'object')
    throw new Error(
      'this version of @grpc/grpc-js keeps its options elsewhere; update grpc/grpc-js-internals.ts',
    );
  Object.assign(commonServerOptions, options);
}
