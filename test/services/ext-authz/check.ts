import { status } from '@grpc/grpc-js';

import type { Message, TestService } from '../../support/test-service.ts';

/** `attributes.request.http` as Envoy fills it. */
export interface HttpAttributes {
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly header_map?: { readonly headers: readonly Message[] };
}

interface HeaderOption extends Message {
  readonly header: { readonly key: string; readonly value: string };
}

/** The answer of a check in the form that tests use. */
export interface Checked {
  readonly allowed: boolean;
  /** The denied response's HTTP status. */
  readonly http: number | undefined;
  readonly body: { readonly reason?: string; readonly message?: string };
  /** The body of the denied response. */
  readonly headers: Record<string, string>;
  /** The headers added to the upstream request. */
  readonly set: Record<string, string>;
  readonly options: readonly HeaderOption[];
  readonly removed: string[];
  readonly metadata: Message | undefined;
}

const httpStatuses: Readonly<Record<string, number>> = {
  Unauthorized: 401,
  Forbidden: 403,
  ServiceUnavailable: 503,
};

/** A server of checks: a service, or a sidecar. */
export type CheckServer = Pick<TestService, 'call'>;

/** The RPC of a check failed, which must never happen for a denial. */
class CheckFailure extends Error {
  readonly code: status;
  readonly reason: string | undefined;

  constructor(code: status, message: string, reason: string | undefined) {
    super(`the check failed: ${status[code]} ${message}`);
    this.code = code;
    this.reason = reason;
  }
}

/** Calls Check as Envoy does. @throws CheckFailure when the status of the RPC is not OK */
export async function checkedBy(
  service: CheckServer,
  http: HttpAttributes,
  extensions: Record<string, string> = {},
): Promise<Checked> {
  const { code, message, reason, response } = await service.call(
    'envoy.service.auth.v3.Authorization/Check',
    {
      attributes: { request: { http }, context_extensions: extensions },
    },
  );
  if (code !== status.OK || !response) throw new CheckFailure(code, message, reason);
  const {
    status: verdict,
    denied_response,
    ok_response,
    dynamic_metadata,
  } = response as {
    status: { code: number };
    denied_response?: { status: { code: string }; headers: HeaderOption[]; body: string };
    ok_response?: { headers: HeaderOption[]; headers_to_remove: string[] };
    dynamic_metadata?: { fields: Record<string, ProtoValue> };
  };
  const allowed = verdict.code === (status.OK as number);
  if (allowed !== Boolean(ok_response) || allowed === Boolean(denied_response))
    throw new Error('a contradictory answer');
  const options = ok_response?.headers ?? [];
  return {
    allowed,
    http: httpStatuses[denied_response?.status.code ?? ''],
    body: denied_response ? (JSON.parse(denied_response.body) as Checked['body']) : {},
    headers: byName(denied_response?.headers ?? []),
    set: byName(options),
    options,
    removed: ok_response?.headers_to_remove ?? [],
    metadata: dynamic_metadata ? (plain({ structValue: dynamic_metadata }) as Message) : undefined,
  };
}

/** The reason of a denial of this token, or '' when it is allowed. A refusal by gRPC itself is a reason of its own. */
export async function checkOfToken(service: CheckServer, token: string): Promise<string> {
  try {
    const { allowed, body } = await checkedBy(service, { headers: { authorization: `Bearer ${token}` } });
    // Check answers within Envoy's timeout; a busy machine may need a second try for that.
    if (body.reason === 'SERVER_OVERLOADED') return await checkOfToken(service, token);
    return allowed ? '' : (body.reason ?? 'no reason');
  } catch (error) {
    if (error instanceof CheckFailure && error.code === status.RESOURCE_EXHAUSTED && error.reason)
      return error.reason;
    throw error;
  }
}

/**
 * Whether a check and VerifyToken agree on a token. A header cannot carry every text: a text that is not token68 is
 * refused before its size or form is checked, so for such a token only the verdict has to be the same.
 */
export function saysTheSame(token: string, checked: string, verified: string): boolean {
  const sayable = /^[A-Za-z0-9._~+/-]+=*$/.test(token);
  return sayable ? checked === verified : (checked === '') === (verified === '');
}

const byName = (options: readonly HeaderOption[]) =>
  Object.fromEntries(options.map(({ header }) => [header.key, header.value]));

/** google.protobuf.Value as proto-loader gives it: the one member that is set. */
interface ProtoValue {
  readonly stringValue?: string;
  readonly numberValue?: number;
  readonly listValue?: { readonly values: readonly ProtoValue[] };
  readonly structValue?: { readonly fields: Record<string, ProtoValue> };
}

function plain(value: ProtoValue): unknown {
  if (value.structValue) {
    return Object.fromEntries(
      Object.entries(value.structValue.fields).map(([key, item]) => [key, plain(item)]),
    );
  }
  return value.listValue ? value.listValue.values.map(plain) : (value.stringValue ?? value.numberValue);
}
