import type { Http2Server, Http2Session, ServerOptions } from 'node:http2';

import type { Server } from '@grpc/grpc-js';

/**
 * The HTTP/2 listeners of a bound server. They are private members of grpc-js, which has no option for the limits set
 * here.
 */
export function http2ServersOf(server: Server): Http2Server[] {
  const { http2Servers } = server as unknown as { http2Servers?: Map<Http2Server, unknown> };
  if (!(http2Servers instanceof Map) || http2Servers.size === 0)
    throw new Error(
      'this version of @grpc/grpc-js keeps its listeners elsewhere; change grpc/grpc-js-internals.ts',
    );
  return [...http2Servers.keys()];
}

/** Runs `around` in the place of the `listen` of every listener that the server is bound to from now on. */
export function wrapListen(server: Server, around: (listen: () => void) => void): void {
  type CreateServer = (...given: unknown[]) => Http2Server;
  const internals = server as unknown as { createHttp2Server?: CreateServer };
  const { createHttp2Server } = internals;
  if (typeof createHttp2Server !== 'function')
    throw new Error(
      'this version of @grpc/grpc-js makes its listeners elsewhere; change grpc/grpc-js-internals.ts',
    );
  internals.createHttp2Server = (...given) => {
    const http2Server = createHttp2Server.apply(server, given);
    const listen = http2Server.listen.bind(http2Server) as (...args: unknown[]) => Http2Server;
    http2Server.listen = (...args: unknown[]) => {
      around(() => listen(...args));
      return http2Server;
    };
    return http2Server;
  };
}

/** The counts that grpc-js keeps for channelz, of a server or of one of its connections. */
interface CallTracker {
  addCallStarted(): void;
  addCallSucceeded(): void;
  addCallFailed(): void;
}

interface ConnectionCounts {
  readonly streamTracker: CallTracker;
  messagesSent: number;
  messagesReceived: number;
  lastMessageSentTimestamp: number | null;
  lastMessageReceivedTimestamp: number | null;
}

/**
 * Counts calls that grpc-js does not see, in what channelz shows of the server and of the connection. They count when they
 * end.
 *
 * @returns null for a server that channelz does not show
 */
export function channelzCounter(
  server: Server,
): ((session: Http2Session | undefined, isOk: boolean) => void) | null {
  const { channelzEnabled, callTracker, sessions } = server as unknown as {
    channelzEnabled?: boolean;
    callTracker?: CallTracker;
    sessions?: Map<Http2Session | undefined, ConnectionCounts>;
  };
  if (channelzEnabled === false) return null;
  if (channelzEnabled !== true || !callTracker || !(sessions instanceof Map))
    throw new Error('this version of @grpc/grpc-js counts calls elsewhere; change grpc/grpc-js-internals.ts');
  return (session, isOk) => {
    const connection = sessions.get(session);
    for (const tracker of [callTracker, connection?.streamTracker]) {
      tracker?.addCallStarted();
      if (isOk) tracker?.addCallSucceeded();
      else tracker?.addCallFailed();
    }
    if (!connection) return;
    const now = Date.now();
    connection.messagesReceived += 1;
    connection.lastMessageReceivedTimestamp = now;
    // A refusal is a status without a message.
    if (!isOk) return;
    connection.messagesSent += 1;
    connection.lastMessageSentTimestamp = now;
  };
}

/** Adds options of Node's HTTP/2 for every listener of a server that is not bound yet. */
export function addHttp2Options(server: Server, options: object): void {
  const { commonServerOptions } = server as unknown as { commonServerOptions?: ServerOptions };
  if (typeof commonServerOptions !== 'object')
    throw new Error(
      'this version of @grpc/grpc-js keeps its options elsewhere; change grpc/grpc-js-internals.ts',
    );
  Object.assign(commonServerOptions, options);
}
