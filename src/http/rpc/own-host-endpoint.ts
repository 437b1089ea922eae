import type { CallAnswer, Endpoint, HttpCall } from '../http-call.ts';
import type { HostCheck } from '../host-check.ts';
import { connectError } from './connect-protocol.ts';
import { errorOf } from './rpc-endpoint.ts';
import { invalidRequest } from './rpc-protocol.ts';

/** An endpoint that serves only requests for a host of the listener. */
export class OwnHostEndpoint implements Endpoint {
  readonly path: string;
  readonly deadlineMs: number;
  readonly isSameOriginOnly: boolean;
  readonly #endpoint: Endpoint;
  readonly #check: HostCheck;

  constructor(endpoint: Endpoint, check: HostCheck) {
    this.path = endpoint.path;
    this.deadlineMs = endpoint.deadlineMs;
    this.isSameOriginOnly = endpoint.isSameOriginOnly ?? false;
    this.#endpoint = endpoint;
    this.#check = check;
  }

  answer(call: HttpCall): CallAnswer | Promise<CallAnswer> {
    const fault = this.#check(call.request);
    if (fault === null) return this.#endpoint.answer(call);
    const error = errorOf(invalidRequest('host', fault.description), call);
    return { ...connectError(error, fault.status), code: error.code };
  }
}
