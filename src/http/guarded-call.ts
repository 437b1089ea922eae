import type { Call } from '../rpc/call.ts';
import { EncodedMessage } from '../rpc/encoded-message.ts';
import { guardMethod, type MethodGuard } from '../rpc/method-guard.ts';
import { ruleOf } from '../rpc/method-table.ts';
import type { HttpCall } from './http-call.ts';

/** A handler as `ServiceHandlers` has it. */
type Handler<Request, Response> = (
  request: Request,
  call: Call,
) => Response | EncodedMessage | Promise<Response | EncodedMessage>;

/**
 * A method for an endpoint that is not its RPC: with the rule of the method table and the guard, as over gRPC. Calling it
 * sets the path of the call, under which it is counted.
 */
export function guardedCall<Request, Response>(
  path: string,
  guard: MethodGuard,
  handler: Handler<Request, Response>,
): (request: Request, call: HttpCall) => Promise<Response | EncodedMessage> {
  const run = guardMethod(path, ruleOf(path), guard, handler);
  return async (request, call) => {
    call.path = path;
    return run(request, call);
  };
}

/** The same for a method whose response is never shared by calls. */
export function plainCall<Request, Response>(
  path: string,
  guard: MethodGuard,
  handler: Handler<Request, Response>,
): (request: Request, call: HttpCall) => Promise<Response> {
  const run = guardedCall(path, guard, handler);
  return async (request, call) => {
    const response = await run(request, call);
    if (response instanceof EncodedMessage) throw new Error(`${path} answers with an encoded message`);
    return response;
  };
}
