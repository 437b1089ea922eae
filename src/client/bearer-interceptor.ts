import { InterceptingCall, type Interceptor, Metadata, type StatusObject, status } from '@grpc/grpc-js';

import { errorText } from '../domain/error-text.ts';
import { PosternError } from './postern-error.ts';

/** Who has the token: a `ServiceCredential`, or a `UserSession`. */
export interface BearerSource {
  accessToken(): Promise<string>;
  forget?(refused: string): void;
}

/**
 * A client interceptor for @grpc/grpc-js that sends `authorization: Bearer` with every call, the token as fresh as its
 * source has it. Metadata in the clear: use it through TLS, a unix socket or on loopback.
 */
export function bearerInterceptor(source: BearerSource): Interceptor {
  return (options, nextCall) =>
    new InterceptingCall(nextCall(options), {
      start(metadata, listener, next) {
        source.accessToken().then(
          (token) => {
            // The caller's metadata is its own: what it sends elsewhere as well must not get the token.
            const sent = metadata.clone();
            sent.set('authorization', `Bearer ${token}`);
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

/** The call that could not begin ends as the one for its token did. */
function statusOf(error: unknown): StatusObject {
  const code = error instanceof PosternError ? error.code : status.UNAUTHENTICATED;
  const why = errorText(error);
  return { code, details: `no token for this call: ${why}`, metadata: new Metadata() };
}
