import {
  type Deadline,
  InterceptingCall,
  type Interceptor,
  Metadata,
  type StatusObject,
  status,
} from '@grpc/grpc-js';

import { MAX_TIMER_MS } from '../domain/concurrency/timeout.ts';
import { errorText } from '../domain/error-text.ts';
import { hasMethods, throwFaults } from './argument-checks.ts';
import { PosternError, reasonIn } from './postern-error.ts';

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
  return (options, nextCall) => {
    const call = nextCall(options);
    let endWaiting: (end: StatusObject) => void = () => undefined;
    return new InterceptingCall(call, {
      start(metadata, listener, next) {
        let isWaiting = true;
        const timer = onDeadline(options.deadline, () =>
          endWaiting(statusWithoutToken(status.DEADLINE_EXCEEDED, 'the deadline of the call has passed')),
        );
        // grpc-js reports the deadline and a cancellation to the listener only when the call has been started.
        endWaiting = (end) => {
          if (!isWaiting) return;
          isWaiting = false;
          clearTimeout(timer);
          listener.onReceiveStatus(end);
          // The call has a timer of its own for the deadline.
          call.cancelWithStatus(end.code, end.details);
        };
        withToken(source, metadata).then(
          ({ token, sent }) => {
            if (!isWaiting) return;
            isWaiting = false;
            clearTimeout(timer);
            next(sent, {
              onReceiveStatus(end: StatusObject, pass: (end: StatusObject) => void) {
                // A new token has the same level: only the user can step up.
                if (end.code === status.UNAUTHENTICATED && reasonIn(end.metadata) !== 'STEP_UP_REQUIRED')
                  source.forget?.(token);
                pass(end);
              },
            });
          },
          (error: unknown) => endWaiting(statusOf(error)),
        );
      },
      cancel(next) {
        endWaiting(statusWithoutToken(status.CANCELLED, 'the call was cancelled'));
        next();
      },
    });
  };
}

function onDeadline(deadline: Deadline | undefined, listener: () => void): NodeJS.Timeout | undefined {
  const remainingMs = deadline === undefined ? Infinity : Number(deadline) - Date.now();
  return remainingMs <= MAX_TIMER_MS ? setTimeout(listener, remainingMs) : undefined;
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
  return statusWithoutToken(code, errorText(error));
}

function statusWithoutToken(code: status, cause: string): StatusObject {
  return { code, details: `no access token for this call: ${cause}`, metadata: new Metadata() };
}
