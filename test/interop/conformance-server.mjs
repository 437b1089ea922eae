// The server under test of connectconformance: the listener, the calls and the protocols of Postern with the conformance
// service behind them in place of Postern's own services. It reads one ServerCompatRequest from stdin, and writes where it
// listens to stdout. The argument is the descriptor set of the conformance suite.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { URL } from 'node:url';

import { create, createFileRegistry, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

import { HttpCalls } from '../../dist/http/http-calls.js';
import { HttpServer } from '../../dist/http/http-server.js';
import { JsonCodec } from '../../dist/http/rpc/json-codec.js';
import { RpcEndpoint, UnservedEndpoint } from '../../dist/http/rpc/rpc-endpoint.js';
import { ServerTls } from '../../dist/net/tls/server-tls.js';

const prefix = 'connectrpc.conformance.v1';
const descriptors = readFileSync(process.argv[2]);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, descriptors));
const codec = new JsonCodec(descriptors);
const schema = (name) => registry.getMessage(`${prefix}.${name}`);

const asMetadata = (headers) =>
  Object.fromEntries(headers.map(({ name, value }) => [name.toLowerCase(), value]));
const asHeaders = (entries) =>
  entries.map(([name, value]) => create(schema('Header'), { name, value: [value].flat() }));

/** The timeout of the request as its protocol sends it, ms. */
function timeoutOf({ 'connect-timeout-ms': connect, 'grpc-timeout': grpc }) {
  if (connect !== undefined) return BigInt(connect);
  if (grpc === undefined) return undefined;
  const ms = { H: 3.6e6, M: 6e4, S: 1e3, m: 1, u: 1e-3, n: 1e-6 }[grpc.at(-1)];
  return BigInt(Math.round(Number.parseInt(grpc, 10) * ms));
}

function requestInfo(call, packed) {
  const { headersDistinct, headers, url } = call.request;
  const query = [...new URL(url, 'http://localhost').searchParams.entries()];
  return create(schema('ConformancePayload.RequestInfo'), {
    requestHeaders: asHeaders(Object.entries(headersDistinct)),
    timeoutMs: timeoutOf(headers),
    requests: [packed],
    ...(query.length > 0 && {
      connectGetInfo: create(schema('ConformancePayload.ConnectGetInfo'), { queryParams: asHeaders(query) }),
    }),
  });
}

/** What the conformance service does for a unary call: it answers as the request says. */
async function respond(method, bytes, call) {
  const request = fromBinary(method.input, bytes);
  const definition = request.responseDefinition;
  const packed = anyPack(method.input, request);
  const info = requestInfo(call, packed);
  if (definition?.responseDelayMs > 0) await pause(definition.responseDelayMs);
  const metadata = {
    headers: asMetadata(definition?.responseHeaders ?? []),
    trailers: asMetadata(definition?.responseTrailers ?? []),
  };
  const { case: kind, value } = definition?.response ?? {};
  if (kind === 'error') {
    const details = [...value.details, anyPack(schema('ConformancePayload.RequestInfo'), info)];
    const encoded = details.map(({ typeUrl, value }) => ({ typeUrl, value: Buffer.from(value) }));
    return { error: { code: value.code, message: value.message ?? '', details: encoded }, ...metadata };
  }
  const payload = create(schema('ConformancePayload'), {
    requestInfo: info,
    ...(kind === 'responseData' && { data: value }),
  });
  return { message: toBinary(method.output, create(method.output, { payload })), ...metadata };
}

const endpoints = new Map();
for (const method of registry.getService(`${prefix}.ConformanceService`).methods) {
  const path = `/${prefix}.ConformanceService/${method.name}`;
  const isServed = method.methodKind === 'unary' && method.name !== 'Unimplemented';
  const served = {
    path,
    deadlineMs: 60_000,
    isSafe: method.idempotency === 1,
    decode: (bytes) => bytes,
    run: (bytes, call) => respond(method, bytes, call),
  };
  const endpoint = isServed
    ? new RpcEndpoint(served, async () => codec.method(path))
    : new UnservedEndpoint(path, 501, 'not implemented');
  endpoints.set(path, endpoint);
}

async function tlsOf({ useTls, serverCreds }) {
  if (!useTls) return null;
  const folder = mkdtempSync(join(tmpdir(), 'postern-conformance-'));
  const [cert, key] = [join(folder, 'server.crt'), join(folder, 'server.key')];
  writeFileSync(cert, serverCreds.cert);
  writeFileSync(key, serverCreds.key, { mode: 0o600 });
  return ServerTls.open({ cert, key, ca: null }, () => undefined);
}

const chunks = [];
for await (const chunk of process.stdin) {
  chunks.push(chunk);
  const received = Buffer.concat(chunks);
  if (received.length >= 4 && received.length >= 4 + received.readUInt32BE(0)) break;
}
const compat = fromBinary(schema('ServerCompatRequest'), Buffer.concat(chunks).subarray(4));
const calls = new HttpCalls({
  find: (path) => endpoints.get(path),
  corsOrigins: [],
  isTrustedProxy: () => false,
  onFinish: () => undefined,
});
const content = {
  publication: null,
  unreadyReasons: () => [],
  verificationFaults: () => [],
  metrics: () => '',
};
const server = new HttpServer(content, await tlsOf(compat), { calls });
const { port } = await server.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 });
const answer = create(schema('ServerCompatResponse'), {
  host: '127.0.0.1',
  port,
  ...(compat.useTls && { pemCert: compat.serverCreds.cert }),
});
const bytes = Buffer.from(toBinary(schema('ServerCompatResponse'), answer));
const size = Buffer.alloc(4);
size.writeUInt32BE(bytes.length);
process.stdout.write(Buffer.concat([size, bytes]));
