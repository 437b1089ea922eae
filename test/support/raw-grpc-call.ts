import type { ClientHttp2Session } from 'node:http2';

/** What a call on plain HTTP/2 returned. */
export interface RawAnswer {
  readonly headers: Record<string, unknown>;
  readonly body: Buffer;
  readonly trailers: Record<string, unknown>;
}

/** @param pieces the request, each piece in a DATA frame of its own; null leaves the request open */
export function rawCall(
  session: ClientHttp2Session,
  path: string,
  pieces: readonly Buffer[] | null,
  extra: Record<string, string> = {},
): { answer: Promise<RawAnswer>; cancel: () => void } {
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...extra,
  });
  stream.on('error', () => undefined);
  const send = async () => {
    for (const piece of pieces ?? [])
      await new Promise<void>((resolve) => void stream.write(piece, () => resolve()));
    if (pieces !== null) stream.end();
  };
  void send();
  const answer = new Promise<RawAnswer>((resolve) => {
    let headers: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    const parts: Buffer[] = [];
    stream.on('response', (got: Record<string, unknown>) => (headers = { ...got }));
    stream.on('trailers', (got: Record<string, unknown>) => (trailers = { ...got }));
    stream.on('data', (part: Buffer) => parts.push(part));
    stream.on('close', () => resolve({ headers, trailers, body: Buffer.concat(parts) }));
  });
  return { answer, cancel: () => stream.close(8) };
}

/** Frames a message as gRPC does, by default as uncompressed. */
export function framed(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.of(flag, 0, 0, 0, 0);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** The answer without the fields that may differ between two answers to the same call. */
export function comparable({ headers, body, trailers }: RawAnswer) {
  const kept = Object.entries<unknown>({ ...headers, ...trailers }).filter(
    ([name]) => !['date', 'x-request-id'].includes(name),
  );
  return { fields: Object.fromEntries(kept), body: body.toString('hex') };
}
