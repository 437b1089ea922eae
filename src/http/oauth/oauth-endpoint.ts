import { statusOfError } from '../../rpc/rejection-status.ts';
import type { RpcStatus } from '../../rpc/rpc-status.ts';
import { MAX_MESSAGE_BYTES } from '../../rpc/size-limits.ts';
import { Code } from '../../rpc/status-code.ts';
import { STANDARD_DEADLINE_MS } from '../../rpc/time-limits.ts';
import type { CallAnswer, Endpoint, HttpCall } from '../http-call.ts';
import { parseForm, type Parameters } from './form.ts';
import { errorAnswer, JSON_HEADERS, type OAuthError, OAuthRefused } from './oauth-error.ts';

export const FORM = 'application/x-www-form-urlencoded';

/** What one endpoint does with the parameters of a request. */
export interface OAuthWork {
  /** The path of the RPC under which the call is counted and logged, until the endpoint knows better. */
  readonly path: string;
  /** The media type of the body. Others are refused, so that no page of another origin can send JSON without a preflight. */
  readonly type: typeof FORM | 'application/json';
  /** By default the body is a form. @throws OAuthRefused */
  readonly parse?: (body: Uint8Array) => Parameters;
  /** Whether a refusal has its message in `detail` as well. */
  readonly hasDetail?: boolean;
  /** What the status of a failed call is called in OAuth. */
  errorOf(status: RpcStatus, call: HttpCall): OAuthError;
  /** The members of the answer; null for an empty body. @throws OAuthRefused, Rejected */
  run(parameters: Parameters, call: HttpCall): Promise<object | null>;
}

/** One POST endpoint. */
export class OAuthEndpoint implements Endpoint {
  readonly path: string;
  readonly deadlineMs = STANDARD_DEADLINE_MS;
  readonly #work: OAuthWork;

  constructor(work: OAuthWork) {
    this.path = work.path;
    this.#work = work;
  }

  async answer(call: HttpCall): Promise<CallAnswer> {
    const { parse = parseForm } = this.#work;
    try {
      this.#requirePost(call);
      const body = await call.readBody(MAX_MESSAGE_BYTES);
      const result = await call.beforeDeadline(this.#work.run(parse(body), call));
      if (result === null)
        return { status: 200, headers: { 'cache-control': 'no-store' }, body: '', code: Code.OK };
      return { status: 200, headers: JSON_HEADERS, body: JSON.stringify(result), code: Code.OK };
    } catch (error) {
      return this.#refusal(error, call);
    }
  }

  #requirePost({ request: { method, headers } }: HttpCall): void {
    const { type } = this.#work;
    if (method !== 'POST')
      throw new OAuthRefused('invalid_request', 'this endpoint is called with POST', {
        httpStatus: 405,
        headers: { allow: 'POST' },
      });
    const [sent = '', ...parameters] = (headers['content-type'] ?? '').split(';');
    const charset = parameters.map((parameter) => parameter.trim().toLowerCase());
    const isUtf8 = charset.every((text) => text === 'charset=utf-8' || text === 'charset="utf-8"');
    if (sent.trim().toLowerCase() !== type || !isUtf8)
      throw new OAuthRefused('invalid_request', `the content-type must be ${type}, in UTF-8`, {
        httpStatus: 415,
        headers: { 'accept-post': type },
      });
    if ((headers['content-encoding'] ?? 'identity') !== 'identity')
      throw new OAuthRefused('invalid_request', 'the body must not be compressed', {
        httpStatus: 415,
        headers: { 'accept-encoding': 'identity' },
      });
  }

  #refusal(error: unknown, call: HttpCall): CallAnswer {
    const { hasDetail } = this.#work;
    if (error instanceof OAuthRefused) {
      const isClient = error.error === 'invalid_client';
      call.noteRefusal(isClient ? 'CREDENTIALS_MISSING' : 'FIELD_INVALID', error, false);
      const code = isClient ? Code.UNAUTHENTICATED : Code.INVALID_ARGUMENT;
      return errorAnswer(error, { message: error.message }, code, { hasDetail });
    }
    const status = statusOfError(error, call);
    return errorAnswer(this.#work.errorOf(status, call), status, status.code, { hasDetail });
  }
}
