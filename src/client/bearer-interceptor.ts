import { InterceptingCall, type Interceptor, Metadata, type StatusObject, status } from '@grpc/grpc-js';

import { errorText } from '../domain/error-text.ts';
import { hasMethods, throwFaults } from './argument-checks.ts';
import { PosternError } from './postern-error.ts';

/** RFC 6750 section 2.1. */
const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/;

/** A source of access tokens: a `ServiceCredential` or a `UserSession`. */
export interface BearerSource {
  accessToken(): Promise<string>;
  /** Called with a token that a server refused. */
  forget?(refused: string): void;
}

/**
 * A client interceptor for @grpc/grpc-js that sends `authorization: Bearer` with every call and gets the token from
 * `source`. Metadata is not encrypted by itself: use it over TLS, a unix socket or loopback.
 *
 * @throws TypeError when `source` has no method `accessToken`
 */
export function bearerInterceptor(source: BearerSource): Interceptor {
  if (!hasMethods(source, 'accessToken'))
    throwFaults('bearerInterceptor', ['the source must be a ServiceCredential or a UserSession']);
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        withToken(source, metadata).then(
          ({ token, sent }) => {
            next(sent, {
              onReceiveStatus(end: StatusObject, pass: (end: StatusObject) => void) {
                if (end.code === status.UNAUTHENTICATED) source.forget?.(token);
                pass(end);
              },
            });
          },
          (error: unknown) => listener.onReceiveStatus(statusOf(error)),
        );
      },
    });
}

/**
 * The metadata of a call with its token.
 *
 * @throws whatever the source throws, and TypeError for what cannot be the value of a header, such as a token with a line
 *   break. The message does not have the token.
 */
async function withToken(source: BearerSource, metadata: Metadata) {
  const token: unknown = await source.accessToken();
  if (typeof token !== 'string' || !TOKEN.test(token))
    throw new TypeError('accessToken() of the source did not return a token');
  // The caller may reuse its metadata for other servers, which must not get the token: a copy is sent.
  const sent = metadata.clone();
  sent.set('authorization', `Bearer ${token}`);
  return { token, sent };
}

/** Without a token the call ends with the status of the token request. */
function statusOf(error: unknown): StatusObject {
  const code = error instanceof PosternError ? error.code : status.UNAUTHENTICATED;
  const details = `no access token for this call: ${errorText(error)}`;
  return { code, details, metadata: new Metadata() };
}
