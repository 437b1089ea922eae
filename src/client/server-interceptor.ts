import {
  Metadata,
  type ServerInterceptor,
  ServerInterceptingCall,
  type ServiceDefinition,
  type ServerListener,
  status,
} from '@grpc/grpc-js';

import type { VerifiedClaims } from '../domain/claims.ts';
import { ErrorInfo, RetryInfo } from '../generated/google/rpc/error_details.ts';
import { Status } from '../generated/google/rpc/status.ts';
import { bearerTokenOf } from './bearer-token.ts';
import { PosternError } from './postern-error.ts';
import { type MethodAccess, type Requirements, validateRules } from './access-rules.ts';
import type { Verifier } from './verifier.ts';

export interface AuthInterceptorOptions {
  readonly verifier: Verifier;
  /** By full method name, `/package.Service/Method`. */
  readonly methods?: Readonly<Record<string, MethodAccess>>;
  /** For every method that is not named: a good token by default. */
  readonly otherwise?: MethodAccess;
  /** What the server serves: then a rule for a method that none of them has is refused. */
  readonly services?: readonly ServiceDefinition[];
}

const callers = new WeakMap<Metadata, VerifiedClaims>();

/**
 * Who makes a call, for a handler behind `authInterceptor`.
 *
 * @param call the handler's call, or anything that has its metadata
 * @returns null for a public method, and in optional mode when no token came
 */
export function callerOf(call: { readonly metadata: Metadata }): VerifiedClaims | null {
  return callers.get(call.metadata) ?? null;
}

/**
 * A server interceptor for @grpc/grpc-js that lets a call through when its `authorization: Bearer` token is good for its
 * method. Refusals are what Postern itself would answer: UNAUTHENTICATED, PERMISSION_DENIED or UNAVAILABLE with an
 * ErrorInfo of the domain `postern`. A method without a rule needs a token: nothing is open by oversight.
 *
 * @throws TypeError for rules that are not sound, all faults at once
 */
export function authInterceptor(options: AuthInterceptorOptions): ServerInterceptor {
  const { verifier, methods = {}, otherwise = {} } = options;
  validateRules(methods, otherwise, options.services);
  const rules = new Map(Object.entries(methods).map(([path, access]) => [path, ruleOf(access)]));
  const defaultRule = ruleOf(otherwise);
  return (method, call) => {
    const rule = rules.get(method.path) ?? defaultRule;
    if (rule === 'public') return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, pass) {
            const admit = (claims: VerifiedClaims | null) => {
              if (claims) callers.set(metadata, claims);
              pass(metadata);
            };
            const refuse = (error: unknown) => call.sendStatus(refusalOf(error));
            try {
              const verdict = authorize(verifier, rule, metadata);
              if (verdict instanceof Promise) verdict.then(admit, refuse);
              else admit(verdict);
            } catch (error) {
              refuse(error);
            }
          },
        } satisfies Partial<ServerListener>);
      },
    });
  };
}

/** What a method asks of a token, and whether one must come. */
interface Rule {
  readonly isOptional: boolean;
  readonly requirements: Requirements;
}

function ruleOf(access: MethodAccess): Rule | 'public' {
  if (access === 'public') return access;
  if (!('optional' in access)) return { isOptional: false, requirements: access };
  const { audience } = access;
  return { isOptional: true, requirements: audience === undefined ? {} : { audience } };
}

function authorize(
  verifier: Verifier,
  { isOptional, requirements }: Rule,
  metadata: Metadata,
): VerifiedClaims | null | Promise<VerifiedClaims> {
  const token = bearerTokenOf(metadata.get('authorization').map(String));
  if (token === null && isOptional) return null;
  if (token === null) {
    throw new PosternError("send the access token as metadata 'authorization: Bearer <token>'", {
      code: status.UNAUTHENTICATED,
      reason: 'CREDENTIALS_MISSING',
    });
  }
  return verifier.verify(token, requirements);
}

function refusalOf(error: unknown) {
  const metadata = new Metadata();
  // Whatever else went wrong, nobody gets in, and nobody learns why.
  if (!(error instanceof PosternError)) return { code: status.INTERNAL, details: 'internal error', metadata };
  const { code, message, reason, retryDelayMs } = error;
  if (reason !== null) {
    const info = ErrorInfo.encode({ reason, domain: 'postern', metadata: {} }).finish();
    const details = [{ typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value: Buffer.from(info) }];
    if (retryDelayMs !== null) {
      const seconds = Math.floor(retryDelayMs / 1000);
      const nanos = Math.round((retryDelayMs - seconds * 1000) * 1e6);
      const retry = RetryInfo.encode({ retryDelay: { seconds, nanos } }).finish();
      details.push({ typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value: Buffer.from(retry) });
    }
    metadata.set('grpc-status-details-bin', Buffer.from(Status.encode({ code, message, details }).finish()));
  }
  return { code, details: message, metadata };
}
