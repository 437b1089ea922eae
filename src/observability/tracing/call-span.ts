import {
  type Attributes,
  type Context,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
} from '@opentelemetry/api';

import type { CallContext } from '../../rpc/call-context.ts';
import { Code, codeName } from '../../rpc/status-code.ts';

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

/**
 * Starts the span of a call.
 *
 * @param path of a method, such as `/postern.v1.AuthService/Login`, or `unknown`
 */
export function startCallSpan(tracer: Tracer, path: string, parent: Context): Span {
  return tracer.startSpan(
    spanName(path),
    { kind: SpanKind.SERVER, attributes: { 'rpc.system': 'grpc', ...methodAttributes(path) } },
    parent,
  );
}

/**
 * Ends the span of a call with its status, its reason and the request id that is also in the log. The path is set again,
 * because an endpoint of OAuth chooses the method when it has read the request.
 */
export function endCallSpan(
  span: Span,
  code: number,
  { path, requestId, reason }: Pick<CallContext, 'path' | 'requestId' | 'reason'>,
): void {
  span.updateName(spanName(path));
  span.setAttributes({
    ...methodAttributes(path),
    'rpc.grpc.status_code': code,
    'postern.request_id': requestId,
    ...(reason !== undefined && { 'postern.reason': reason }),
  });
  if (SERVER_ERRORS.has(code)) span.setStatus({ code: SpanStatusCode.ERROR, message: codeName(code) });
  span.end();
}

function spanName(path: string): string {
  return path.replace(/^\//, '');
}

function methodAttributes(path: string): Attributes {
  const [service = '', method = ''] = spanName(path).split('/');
  return { 'rpc.service': service, 'rpc.method': method };
}
