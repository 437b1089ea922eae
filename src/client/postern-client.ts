// What `import … from 'postern/client'` gives. Nothing behind it belongs to the server: no Knex, no pg, no hashing.
export { createAuthClient } from './auth-client.ts';
export type { AuthClient, AuthClientOptions, CallSettings } from './auth-client.ts';
export type { Upstream } from './channel.ts';
export { ServiceCredential, serviceCredential } from './service-credential.ts';
export type { ServiceToken } from './service-credential.ts';
export { authenticateRequest, requireToken } from './http-guard.ts';
export type { HttpRefusal, HttpVerdict, RequestHeaders } from './http-guard.ts';
export { PosternError } from './postern-error.ts';
export type { PosternReason } from './postern-error.ts';
export type { RetryPolicy } from './retry.ts';
export { authInterceptor, callerOf } from './server-interceptor.ts';
export type { AuthInterceptorOptions, MethodAccess } from './server-interceptor.ts';
export { createUserSession } from './user-session.ts';
export type { UserSession } from './user-session.ts';
export { createVerifier } from './verifier.ts';
export type {
  Requirements,
  ServiceAccount,
  TrustOrigin,
  Verifier,
  VerifierOptions,
  VerifierState,
} from './verifier.ts';
export type { VerifiedClaims } from '../domain/claims.ts';
export type { TokenSet, VerifiedToken } from '../generated/postern/v1/auth.ts';
