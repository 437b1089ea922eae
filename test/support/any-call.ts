import * as grpc from '@grpc/grpc-js';

import { CALL_LIMIT_MS, invoke, type Message, methodOf, type Outcome, reasonOf } from './test-service.ts';

/** One call of a unary or streaming method. A response stream is cancelled after its first message. */
export function callAny(
  client: grpc.Client,
  method: string,
  requests: readonly Message[],
  metadata = new grpc.Metadata(),
): Promise<Outcome> {
  const { requestStream, responseStream } = methodOf(method);
  if (requestStream) return sendStream(client, method, requests, metadata);
  if (responseStream) return firstAnswer(client, method, requests[0] ?? {}, metadata);
  return invoke(client, method, requests[0] ?? {}, metadata);
}

/** Sends all messages as fast as the server accepts them, then half-closes the stream. */
export function sendStream(
  client: grpc.Client,
  method: string,
  requests: Iterable<Message | Buffer, undefined>,
  metadata = new grpc.Metadata(),
): Promise<Outcome> {
  const definition = methodOf(method);
  return new Promise((resolve) => {
    let response: Message | undefined;
    const call = client.makeClientStreamRequest<Message | Buffer, object>(
      definition.path,
      // Bytes are sent unchanged, for messages that no correct client would send.
      (request) => (Buffer.isBuffer(request) ? request : definition.requestSerialize(request)),
      definition.responseDeserialize,
      metadata,
      { deadline: Date.now() + CALL_LIMIT_MS },
      (_error, answer) => (response = answer as Message | undefined),
    );
    let ended = false;
    call.on('status', (end: grpc.StatusObject) => {
      ended = true;
      resolve(outcomeOf(end, response));
    });
    call.on('error', () => undefined);
    const messages = requests[Symbol.iterator]();
    const send = () => {
      for (;;) {
        if (ended) return;
        const next = messages.next();
        if (next.done === true) {
          call.end();
          return;
        }
        if (!call.write(next.value)) {
          call.once('drain', send);
          return;
        }
      }
    };
    send();
  });
}

function firstAnswer(
  client: grpc.Client,
  method: string,
  request: Message,
  metadata: grpc.Metadata,
): Promise<Outcome> {
  const definition = methodOf(method);
  return new Promise((resolve) => {
    const call = client.makeServerStreamRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      metadata,
      { deadline: Date.now() + CALL_LIMIT_MS },
    );
    call.once('data', (response: Message) => {
      resolve(outcomeOf({ code: grpc.status.OK, details: '', metadata: new grpc.Metadata() }, response));
      call.cancel();
    });
    call.on('error', () => undefined);
    call.on('status', (end: grpc.StatusObject) => resolve(outcomeOf(end, undefined)));
  });
}

function outcomeOf({ code, details, metadata }: grpc.StatusObject, response: Message | undefined): Outcome {
  return { code, message: details, reason: reasonOf(metadata), trailers: metadata, response };
}
