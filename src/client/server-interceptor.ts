import {
  Metadata,
  type ServerInterceptor,
  ServerInterceptingCall,
  type ServiceDefinition,
  type ServerListener,
  status,
} from '@grpc/grpc-js';

import { stepUpParameters, strictestRequirement } from '../domain/claims/authentication.ts';
import type { VerifiedClaims } from '../domain/claims/claims.ts';
import { ErrorInfo, RetryInfo } from '../generated/google/rpc/error_details.ts';
import { Status } from '../generated/google/rpc/status.ts';
import { optionsFor } from './api-key-verification.ts';
import {
  hasMethods,
  isPlainObject,
  isRecord,
  requireVerifier,
  throwFaults,
  unknownMembers,
} from './argument-checks.ts';
import { bearerTokenOf } from './bearer-token.ts';
import {
  audienceUnmetBy,
  requiredAuthentication,
  METHOD_NOT_LISTED,
  type MethodRule,
  type PolicyRefusal,
  ruleOf,
  unmetBy,
} from '../policy/method-policy.ts';
import { PolicyFile } from '../policy/policy-file.ts';
import { PosternError, stepUpRequired } from './postern-error.ts';
import { authenticationIn, type MethodAccess, type Requirements, validateRules } from './access-rules.ts';
import { requireClaims, type Verifier } from './verifier.ts';

export interface AuthInterceptorOptions {
  readonly verifier: Verifier;
  /** The rules of a file, from `openPolicyFile`. Where there are rules in `methods` as well, both must allow the call. */
  readonly policy?: PolicyFile;
  /** Rules by full method name, `/package.Service/Method`. */
  readonly methods?: Readonly<Record<string, MethodAccess>>;
  /** The rule for all other methods; requires a valid token by default, and with a policy what the policy requires. */
  readonly otherwise?: MethodAccess;
  /**
   * The address of the client of a call, for API keys that are limited to networks: by default the peer's. Behind a proxy
   * the peer is the proxy, so return there what the proxy says, or null.
   */
  readonly clientAddress?: (call: { readonly metadata: Metadata; readonly peer: string }) => string | null;
  /** The services of the server. If set, a rule for an unknown method is an error. */
  readonly services?: readonly ServiceDefinition[];
}

const callers = new WeakMap<Metadata, VerifiedClaims>();

/**
 * The caller of a call, for handlers behind `authInterceptor`.
 *
 * @param call the handler's call, or any object with its metadata
 * @returns null for a public method, and for an optional token that was not sent
 * @throws TypeError for anything without metadata, such as the request: null would mean a caller without a token
 */
export function callerOf(call: { readonly metadata: Metadata }): VerifiedClaims | null {
  if (!isRecord(call) || !hasMethods(call.metadata, 'get'))
    throwFaults('callerOf', ['the argument must be the call that the handler got']);
  return callers.get(call.metadata) ?? null;
}

/**
 * A server interceptor for @grpc/grpc-js that accepts a call if its `authorization: Bearer` token is valid and meets the
 * rule of the method. It rejects as Postern does: UNAUTHENTICATED, PERMISSION_DENIED or UNAVAILABLE with an ErrorInfo of
 * the domain `postern`. A method without a rule requires a token, so that none is open by mistake.
 *
 * @throws TypeError that lists all faults of the rules
 */
export function authInterceptor(options: AuthInterceptorOptions): ServerInterceptor {
  throwFaults('authInterceptor', optionFaults(options));
  requireVerifier('authInterceptor', options.verifier);
  const { verifier, policy, methods = {}, clientAddress = peerOf } = options;
  const { otherwise = policy === undefined ? {} : 'public' } = options;
  validateRules(methods, otherwise, options.services);
  const rules = new Map(Object.entries(methods).map(([path, access]) => [path, accessRuleOf(access)]));
  const defaultRule = accessRuleOf(otherwise);
  return (method, call) => {
    const listed = policy === undefined ? 'public' : ruleOf(policy.policy, method.path);
    const rule = rules.get(method.path) ?? defaultRule;
    if (listed === 'public' && rule === 'public') return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start(next) {
        next({
          onReceiveMetadata(metadata, pass) {
            const accept = (claims: VerifiedClaims | null) => {
              if (claims) callers.set(metadata, claims);
              pass(metadata);
            };
            const reject = (error: unknown) => call.sendStatus(statusOf(error));
            try {
              const verdict = authorize(verifier, listed, rule, metadata, () =>
                clientAddress({ metadata, peer: call.getPeer() }),
              );
              if (verdict instanceof Promise) verdict.then(accept, reject);
              else accept(verdict);
            } catch (error) {
              reject(error);
            }
          },
        } satisfies Partial<ServerListener>);
      },
    });
  };
}

const peerOf = ({ peer }: { readonly peer: string }): string => peer;

function optionFaults(options: unknown): string[] {
  if (!isPlainObject(options))
    return [
      'the options must be an object, { verifier, policy, methods, otherwise, clientAddress, services }',
    ];
  const { policy, methods, clientAddress, services } = options;
  const known = ['verifier', 'policy', 'methods', 'otherwise', 'clientAddress', 'services'];
  const faults = unknownMembers(options, known).map((name) => `${name} is not a known option`);
  if (policy !== undefined && !(policy instanceof PolicyFile))
    faults.push('policy must be what openPolicyFile resolves to');
  if (methods !== undefined && !isPlainObject(methods)) faults.push('methods must be a plain object');
  if (clientAddress !== undefined && typeof clientAddress !== 'function')
    faults.push('clientAddress must be a function');
  if (services !== undefined && !(Array.isArray(services) && services.every(isRecord)))
    faults.push('services must be a list of service definitions');
  return faults;
}

/** A method's requirements for the token, and whether the token may be absent. */
interface Rule {
  readonly isOptional: boolean;
  readonly requirements: Requirements;
}

function accessRuleOf(access: MethodAccess): Rule | 'public' {
  if (access === 'public') return access;
  if (!('optional' in access)) return { isOptional: false, requirements: access };
  const { audience } = access;
  return { isOptional: true, requirements: audience === undefined ? {} : { audience } };
}

/** @param listed the rule of the policy; null when it refuses the method */
function authorize(
  verifier: Verifier,
  listed: MethodRule | null,
  rule: Rule | 'public',
  metadata: Metadata,
  clientAddress: () => string | null,
): VerifiedClaims | null | Promise<VerifiedClaims> {
  if (listed === null) throw refusedBy(METHOD_NOT_LISTED, listed);
  const token = bearerTokenOf(metadata.get('authorization').map(String));
  if (token === null && listed === 'public' && rule !== 'public' && rule.isOptional) return null;
  if (token === null) {
    throw new PosternError("send the access token as metadata 'authorization: Bearer <token>'", {
      code: status.UNAUTHENTICATED,
      reason: 'CREDENTIALS_MISSING',
    });
  }
  const requirements = rule === 'public' ? {} : rule.requirements;
  if (listed === 'public') return verifier.verify(token, optionsFor(token, requirements, clientAddress));
  const { audience } = requirements;
  const first = audience === undefined ? {} : { audience };
  const accept = (claims: VerifiedClaims) => {
    requireBoth(claims, requirements, listed);
    return claims;
  };
  const verdict = verifier.verify(token, optionsFor(token, first, clientAddress));
  return verdict instanceof Promise ? verdict.then(accept) : accept(verdict);
}

/**
 * The audience of the policy, the strictest level of both, so that one step-up is enough, and all else.
 *
 * @throws PosternError
 */
function requireBoth(claims: VerifiedClaims, requirements: Requirements, listed: MethodRule): void {
  const withoutAudience = audienceUnmetBy(listed, claims);
  if (withoutAudience !== null) throw refusedBy(withoutAudience, listed);
  const { minAcr, maxAuthAgeSeconds } = strictestRequirement(
    requiredAuthentication(listed),
    authenticationIn(requirements),
  );
  requireClaims(claims, {
    ...requirements,
    ...(minAcr !== null && { minAcr }),
    ...(maxAuthAgeSeconds !== null && { maxAuthAgeSeconds }),
  });
  const refusal = unmetBy(listed, claims, Date.now() / 1000);
  if (refusal !== null) throw refusedBy(refusal, listed);
}

function refusedBy({ reason, detail }: PolicyRefusal, rule: MethodRule | null): PosternError {
  if (reason === 'STEP_UP_REQUIRED') return stepUpRequired(detail, requiredAuthentication(rule));
  const code = reason === 'TOKEN_CLAIMS_INVALID' ? status.UNAUTHENTICATED : status.PERMISSION_DENIED;
  return new PosternError(detail, { code, reason });
}

function statusOf(error: unknown) {
  const metadata = new Metadata();
  // Fail closed on an unexpected error, without details for the caller.
  if (!(error instanceof PosternError)) return { code: status.INTERNAL, details: 'internal error', metadata };
  const { code, message, reason, retryDelayMs, requirement } = error;
  if (reason !== null) {
    const entries = requirement === null ? {} : stepUpParameters(requirement);
    const info = ErrorInfo.encode({ reason, domain: 'postern', metadata: entries }).finish();
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
