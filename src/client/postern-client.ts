// The exports of the package `postern-auth` (clients/node). They import nothing of the server: no Knex, no pg, no hashing.
export { createAuthClient } from './auth-client.ts';
export type { AuthClient, AuthClientOptions } from './auth-client.ts';
export type { CallSettings } from './call-checks.ts';
export type { Upstream } from './channel.ts';
export { ServiceCredential, serviceCredential } from './service-credential.ts';
export type { ServiceAccount, ServiceToken } from './service-credential.ts';
export { workloadCredential } from './workload-credential.ts';
export type { Workload } from './workload-credential.ts';
export { authenticateRequest, requireToken, requireTokenHook } from './http-guard.ts';
export type { HttpRefusal, HttpVerdict, RequestHeaders } from './http-guard.ts';
export { PosternError } from './postern-error.ts';
export type { PosternReason } from './postern-error.ts';
export type { RetryPolicy } from './retry.ts';
export { authInterceptor, callerOf } from './server-interceptor.ts';
export type { AuthInterceptorOptions } from './server-interceptor.ts';
export type { MethodAccess, Requirements, VerifyOptions } from './access-rules.ts';
export { openPolicyFile } from './policy.ts';
export type { OpenPolicyFileOptions } from './policy.ts';
export type { PolicyFile, PolicyFileEvent } from '../policy/policy-file.ts';
export { InvalidPolicy } from '../policy/policy-document.ts';
export { bearerInterceptor } from './bearer-interceptor.ts';
export type { BearerSource } from './bearer-interceptor.ts';
export { createUserSession } from './user-session.ts';
export type { UserSession } from './user-session.ts';
export { createVerifier } from './verifier.ts';
export type { TrustOrigin, Verifier, VerifierOptions, VerifierState } from './verifier.ts';
export type { Actor } from '../domain/claims/actor.ts';
export type { VerifiedClaims } from '../domain/claims/claims.ts';
export type { AuthenticationLevel, AuthenticationRequirement } from '../domain/claims/authentication.ts';
export type { LoginClient, PasskeyAnswer, SecondFactorCalls, StepUpProof } from './second-factor-calls.ts';
export type {
  Factor,
  FactorConfirmed,
  FactorList,
  PasskeyChallenge,
  RecoveryCodes,
  TotpEnrolment,
} from '../generated/postern/v1/auth.ts';
export type { TokenSet, VerifiedToken } from '../generated/postern/v1/auth.ts';
