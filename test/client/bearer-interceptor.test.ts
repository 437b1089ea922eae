import * as grpc from '@grpc/grpc-js';
import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';

import {
  bearerInterceptor,
  type BearerSource,
  PosternError,
  ServiceCredential,
} from '../../src/client/postern-client.ts';

const text = {
  requestSerialize: (value: string) => Buffer.from(value),
  requestDeserialize: (bytes: Buffer) => bytes.toString(),
  responseSerialize: (value: string) => Buffer.from(value),
  responseDeserialize: (bytes: Buffer) => bytes.toString(),
} as const;
const shown = (metadata: grpc.Metadata) => metadata.get('authorization').join(' and ');

/** Echoes the authorization header; a token in `refused` gets the status that is listed there. */
let server: grpc.Server;
let address: string;
const refused = new Map<string, grpc.status>();
const seen: string[] = [];
const clients: grpc.Client[] = [];
beforeAll(async () => {
  server = new grpc.Server();
  const verdictOn = (authorization: string) => {
    seen.push(authorization);
    const code = refused.get(authorization);
    return code === undefined ? null : { code, details: 'refused by the server' };
  };
  const echo: grpc.handleUnaryCall<string, string> = ({ metadata }, answer) => {
    const authorization = shown(metadata);
    answer(verdictOn(authorization), authorization);
  };
  const echoStream: grpc.handleBidiStreamingCall<string, string> = (call) => {
    verdictOn(shown(call.metadata));
    call.on('data', (word: string) => call.write(`${word} from ${shown(call.metadata)}`));
    call.on('end', () => call.end());
  };
  server.addService(
    {
      Echo: { ...text, path: '/t.T/Echo', requestStream: false, responseStream: false },
      Stream: { ...text, path: '/t.T/Stream', requestStream: true, responseStream: true },
    },
    { Echo: echo, Stream: echoStream },
  );
  address = await new Promise<string>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(`127.0.0.1:${port}`),
    ),
  );
});
afterEach(() => {
  jest.restoreAllMocks();
  for (const client of clients.splice(0)) client.close();
  refused.clear();
  seen.length = 0;
});
afterAll(() => server.forceShutdown());

function clientOf(source: BearerSource, ...inner: grpc.Interceptor[]): grpc.Client {
  const client = new grpc.Client(address, grpc.credentials.createInsecure(), {
    interceptors: [bearerInterceptor(source), ...inner],
  });
  clients.push(client);
  return client;
}

/** What the server saw, or how the call ended. */
function echo(
  client: grpc.Client,
  metadata = new grpc.Metadata(),
  {
    deadlineMs = 60_000,
    onCall,
  }: { deadlineMs?: number; onCall?: (call: grpc.ClientUnaryCall) => void } = {},
): Promise<string> {
  return new Promise((resolve) => {
    const call = client.makeUnaryRequest(
      '/t.T/Echo',
      text.requestSerialize,
      text.responseDeserialize,
      'x',
      metadata,
      { deadline: Date.now() + deadlineMs },
      (error, authorization) =>
        resolve(error ? `${grpc.status[error.code]} ${error.details}` : (authorization ?? '')),
    );
    onCall?.(call);
  });
}

/** A source that returns `tokens` one after the other, and records what it was told to forget. */
function sourceOf(...tokens: string[]) {
  const forgotten: string[] = [];
  const source = {
    accessToken: () => Promise.resolve(tokens.shift() ?? 'no more'),
    forget: (token: string) => forgotten.push(token),
  };
  return { source, forgotten };
}

test('every call carries the current token and no other', async () => {
  const client = clientOf(sourceOf('one', 'two', 'three').source);
  expect(await echo(client)).toBe('Bearer one');
  const leftover = new grpc.Metadata();
  leftover.set('authorization', 'Bearer of-someone-else');
  expect(await echo(client, leftover)).toBe('Bearer two');
  // The caller's own metadata, which it may send elsewhere, does not get the token.
  expect(shown(leftover)).toBe('Bearer of-someone-else');

  const words: string[] = [];
  const stream = client.makeBidiStreamRequest(
    '/t.T/Stream',
    text.requestSerialize,
    text.responseDeserialize,
    new grpc.Metadata(),
    { deadline: Date.now() + 60_000 },
  );
  stream.on('data', (word: string) => words.push(word));
  // Written before the token is available.
  stream.write('first');
  stream.write('second');
  stream.end();
  const end = await new Promise<grpc.StatusObject>((resolve) => stream.once('status', resolve));
  expect(end.code).toBe(grpc.status.OK);
  expect(words).toEqual(['first from Bearer three', 'second from Bearer three']);
});

test('a service credential renews its token before it expires, once for many calls', async () => {
  let nowMs = performance.now();
  let made = 0;
  const credential = new ServiceCredential(() =>
    Promise.resolve({ accessToken: `token-${++made}`, expiresInSeconds: 100 }),
  );
  const clock = jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const client = clientOf(credential);
  const ten = () => Promise.all(Array.from({ length: 10 }, () => echo(client)));
  expect(new Set(await ten())).toEqual(new Set(['Bearer token-1']));
  nowMs += 74_000;
  expect(new Set(await ten())).toEqual(new Set(['Bearer token-1']));
  nowMs += 12_000;
  // The call that begins the renewal does not wait for it.
  expect(await echo(client)).toBe('Bearer token-1');
  expect(new Set(await ten())).toEqual(new Set(['Bearer token-2']));
  expect(made).toBe(2);
  clock.mockRestore();
});

test('only UNAUTHENTICATED makes the source forget the token, and the status is passed on', async () => {
  const { source, forgotten } = sourceOf('good', 'lacking', 'unlucky', 'bad', 'next');
  const client = clientOf(source);
  refused.set('Bearer lacking', grpc.status.PERMISSION_DENIED);
  refused.set('Bearer unlucky', grpc.status.UNAVAILABLE);
  refused.set('Bearer bad', grpc.status.UNAUTHENTICATED);
  expect(await echo(client)).toBe('Bearer good');
  expect(await echo(client)).toBe('PERMISSION_DENIED refused by the server');
  expect(await echo(client)).toBe('UNAVAILABLE refused by the server');
  expect(forgotten).toEqual([]);
  expect(await echo(client)).toBe('UNAUTHENTICATED refused by the server');
  expect(forgotten).toEqual(['bad']);
  expect(await echo(client)).toBe('Bearer next');
});

test.each([
  [
    'with the status of the token request',
    new PosternError('the service does not answer', { code: grpc.status.UNAVAILABLE, reason: null }),
    /^UNAVAILABLE .*the service does not answer$/,
  ],
  [
    'with UNAUTHENTICATED when the source gives no status',
    new Error('logged out'),
    /^UNAUTHENTICATED .*logged out$/,
  ],
])('without a token no call is sent, and it ends %s', async (_how, error, end) => {
  let cancelled = 0;
  const countCancelled: grpc.Interceptor = (options, nextCall) =>
    new grpc.InterceptingCall(nextCall(options), {
      cancel(next) {
        cancelled += 1;
        next();
      },
    });
  const client = clientOf({ accessToken: () => Promise.reject(error) }, countCancelled);
  expect(await echo(client)).toMatch(end);
  expect(seen).toEqual([]);
  // Or the timer of its deadline would keep the process alive.
  expect(cancelled).toBe(1);
});

test('a call whose token does not come in time ends by its own deadline, or when it is cancelled', async () => {
  let release: (token: string) => void = () => undefined;
  const late = new Promise<string>((resolve) => (release = resolve));
  const client = clientOf({ accessToken: () => late });
  expect(await echo(client, undefined, { deadlineMs: 50 })).toMatch(/^DEADLINE_EXCEEDED .*access token/);
  expect(await echo(client, undefined, { onCall: (call) => call.cancel() })).toMatch(/^CANCELLED /);
  release('late');
  expect(await echo(client)).toBe('Bearer late');
  // The calls that had ended were not sent.
  expect(seen).toEqual(['Bearer late']);
});
