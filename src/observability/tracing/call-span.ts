import {
  type Attributes,
  type Context,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api';

import { peerIp } from '../../net/peer-address.ts';
import type { CallContext } from '../../rpc/call-context.ts';
import { Code, codeName } from '../../rpc/status-code.ts';
import type { FinishedSpan, TracedCall } from './tracing.ts';

/**
 * The status codes that OpenTelemetry's semantic conventions for gRPC define as server errors. Refusals are not errors.
 */
const SERVER_ERRORS: ReadonlySet<number> = new Set([
  Code.UNKNOWN,
  Code.DEADLINE_EXCEEDED,
  Code.UNIMPLEMENTED,
  Code.INTERNAL,
  Code.UNAVAILABLE,
  Code.DATA_LOSS,
]);
/** What the conventions write for a method that is not served. Its name is the caller's text, so it is in no attribute. */
const OTHER = '_OTHER';

/** Starts the span of a call, by the stable conventions for RPC, or for HTTP where the path is no RPC. */
export function startCallSpan(tracer: Tracer, call: TracedCall, parent: Context): Span {
  const span = tracer.startSpan(spanName(call), { kind: SpanKind.SERVER }, parent);
  // Not given to the sampler, which needs none, so that a call that is not sampled does not make them.
  if (span.isRecording()) span.setAttributes({ ...startAttributes(call), ...networkAttributes(call) });
  return span;
}

/** Ends the span of a call with its status, its reason and the request id that is also in the log. */
export function endCallSpan(
  span: Span,
  call: TracedCall,
  { code, httpStatus }: FinishedSpan,
  { path, requestId, reason }: Pick<CallContext, 'path' | 'requestId' | 'reason'>,
  writesOldAttributes: boolean,
): void {
  const isError = SERVER_ERRORS.has(code);
  const name = call.system === 'connectrpc' ? connectName(code) : codeName(code);
  span.setAttributes({
    ...(call.http ? { 'postern.method': methodName(path) } : { 'rpc.response.status_code': name }),
    ...(call.http && httpStatus !== undefined && { 'http.response.status_code': httpStatus }),
    ...(isError && { 'error.type': call.http && httpStatus !== undefined ? String(httpStatus) : name }),
    'postern.request_id': requestId,
    ...(reason !== undefined && { 'postern.reason': reason }),
    ...(writesOldAttributes && oldAttributes(path, code)),
  });
  if (isError) span.setStatus({ code: SpanStatusCode.ERROR, message: name });
  span.end();
}

function spanName(call: TracedCall): string {
  if (call.http) return `${call.http.method} ${call.http.route}`;
  const method = methodName(call.path);
  return method === OTHER ? call.system : method;
}

function methodName(path: string): string {
  return path === 'unknown' ? OTHER : path.replace(/^\//, '');
}

function startAttributes({ http, system, path }: TracedCall): Attributes {
  if (!http) return { 'rpc.system.name': system, 'rpc.method': methodName(path) };
  return {
    'http.request.method': http.method,
    'http.route': http.route,
    'url.path': http.route,
    'url.scheme': http.scheme,
  };
}

function networkAttributes({ peer, server, protocolVersion }: TracedCall): Attributes {
  const address = peerIp(peer);
  const port = Number(/:(\d+)$/.exec(peer)?.[1]);
  return {
    ...(server && { 'server.address': server.address }),
    ...(server?.port !== undefined && { 'server.port': server.port }),
    ...(address !== null && { 'network.peer.address': address }),
    ...(address !== null && port > 0 && { 'network.peer.port': port }),
    'network.transport': server?.port === undefined ? 'unix' : 'tcp',
    'network.protocol.name': 'http',
    'network.protocol.version': protocolVersion,
  };
}

/** Connect writes its codes in lower case, and one of them with one `l`. */
function connectName(code: number): string {
  return code === Code.CANCELLED ? 'canceled' : codeName(code).toLowerCase();
}

/** What the conventions wrote before they were stable. `rpc.method` has its new meaning in either case. */
function oldAttributes(path: string, code: number): Attributes {
  const [service = ''] = methodName(path).split('/');
  return { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.grpc.status_code': code };
}
