import { Rejected } from '../../domain/rejection.ts';
import { EncodedMessage } from '../../rpc/encoded-message.ts';
import type { AddService, UnaryHandler } from '../../rpc/handlers.ts';
import { guardMethod, type MethodGuard } from '../../rpc/method-guard.ts';
import { ruleOf } from '../../rpc/method-table.ts';
import { UNREADABLE_REQUEST } from '../../rpc/rejection-status.ts';
import { withStrictDecoding } from '../../rpc/strict-decoding.ts';
import type { HostCheck } from '../host-check.ts';
import type { Endpoint } from '../http-call.ts';
import type { JsonCodec } from './json-codec.ts';
import { OwnHostEndpoint } from './own-host-endpoint.ts';
import { RpcEndpoint, UnservedEndpoint } from './rpc-endpoint.ts';

/** The part of a generated method that is needed here. */
interface GeneratedMethod {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly requestDeserialize: (bytes: Buffer) => unknown;
  readonly responseSerialize: (response: unknown) => Buffer;
}

const RPC_PATH = /^\/[\w.]+\.v\d+\.\w+\/\w+$/;

/** The methods that are served over HTTP, with the rule of the method table and the guard around each handler, as over gRPC. */
export class RpcEndpoints {
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #guard: MethodGuard | null;
  readonly #hosts: HostCheck;
  readonly #unknown: Endpoint;

  /** @param guard null where all methods are public and none is audited */
  constructor(guard: MethodGuard | null, hosts: HostCheck) {
    this.#guard = guard;
    this.#hosts = hosts;
    this.#unknown = new OwnHostEndpoint(
      new UnservedEndpoint(
        'unknown',
        404,
        'this process serves no such method over HTTP; see POSTERN_HTTP_RPC',
      ),
      hosts,
    );
  }

  readonly add: AddService = (service, handlers) => {
    const methods = service as Record<string, GeneratedMethod>;
    for (const [name, handler] of Object.entries(handlers)) {
      const method = methods[name];
      if (!method) throw new Error(`the contract has no method ${name}`);
      const endpoint =
        method.requestStream || method.responseStream
          ? new UnservedEndpoint(method.path, 501, 'streams are served over gRPC only')
          : this.#unary(method, handler as UnaryHandler<unknown, unknown>);
      this.#endpoints.set(method.path, new OwnHostEndpoint(endpoint, this.#hosts));
    }
  };

  /** The endpoint at a path; for a path that looks like one of an RPC, one that refuses in the form of an RPC. */
  find(path: string): Endpoint | undefined {
    return this.#endpoints.get(path) ?? (RPC_PATH.test(path) ? this.#unknown : undefined);
  }

  #unary(method: GeneratedMethod, handler: UnaryHandler<unknown, unknown>): Endpoint {
    const { path } = method;
    const rule = ruleOf(path);
    const { deadlineMs, isSafe = false } = rule;
    if (deadlineMs === null) throw new Error(`${path} has no deadline`);
    const run = guardMethod(path, rule, this.#guard, handler);
    const { requestDeserialize } = withStrictDecoding(method);
    const encoded = (response: unknown) =>
      response instanceof EncodedMessage
        ? { message: response.bytes, isShared: true }
        : { message: method.responseSerialize(response) };
    return new RpcEndpoint(
      {
        path,
        deadlineMs,
        isSafe,
        decode(bytes) {
          try {
            return requestDeserialize(bytes);
          } catch (cause) {
            throw new Rejected(UNREADABLE_REQUEST, { cause });
          }
        },
        run(request, call) {
          const response = run(request, call);
          return response instanceof Promise ? response.then(encoded) : encoded(response);
        },
      },
      async () => (await loadCodec()).method(path),
    );
  }
}

let codec: JsonCodec | null = null;

/** The JSON codec, which is loaded with the first call that needs it. */
export async function loadCodec(): Promise<JsonCodec> {
  if (codec) return codec;
  const { JsonCodec } = await import('./json-codec.ts');
  return (codec ??= new JsonCodec());
}
