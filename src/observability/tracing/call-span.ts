import { type Context, type Span, SpanKind, SpanStatusCode, type Tracer } from '@opentelemetry/api';

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
 * @param path of a served method, such as `/postern.v1.AuthService/Login`
 */
export function startCallSpan(tracer: Tracer, path: string, parent: Context): Span {
  const [, service = '', method = ''] = path.split('/');
  return tracer.startSpan(
    path.slice(1),
    {
      kind: SpanKind.SERVER,
      attributes: { 'rpc.system': 'grpc', 'rpc.service': service, 'rpc.method': method },
    },
    parent,
  );
}

/** Ends the span of a call with its status, its reason and the request id that is also in the log. */
export function endCallSpan(
  span: Span,
  code: number,
  { requestId, reason }: Pick<CallContext, 'requestId' | 'reason'>,
): void {
  span.setAttributes({
    'rpc.grpc.status_code': code,
    'postern.request_id': requestId,
    ...(reason !== undefined && { 'postern.reason': reason }),
  });
  if (SERVER_ERRORS.has(code)) span.setStatus({ code: SpanStatusCode.ERROR, message: codeName(code) });
  span.end();
}
