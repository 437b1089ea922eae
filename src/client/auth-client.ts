import { Metadata, status } from '@grpc/grpc-js';

import type { AuthenticationLevel } from '../domain/claims/authentication.ts';
import {
  AuthServiceClient,
  type JsonWebKeySet,
  type TokenSet,
  type VerifiedToken,
} from '../generated/postern/v1/auth.ts';
import { isDuration, isListOfNames, throwFaults } from './argument-checks.ts';
import type { BearerSource } from './bearer-interceptor.ts';
import { validateRequirements } from './access-rules.ts';
import {
  type CallSettings,
  optionFaults,
  settingFaults,
  TOKEN_SET_MEMBERS,
  validate,
} from './call-checks.ts';
import { channelCredentials, channelOptions, type Upstream } from './channel.ts';
import { isServiceError, PosternError, posternErrorOf } from './postern-error.ts';
import { type RetryPolicy, standardRetry, withRetry } from './retry.ts';
import {
  clientInfo,
  type Invoke,
  type LoginClient,
  type PasskeyAnswer,
  passkeyAssertion,
  type SecondFactorCalls,
  secondFactorCalls,
} from './second-factor-calls.ts';

export interface AuthClientOptions extends Upstream {
  /** Time limit of each call, retries included, ms; 5000 by default. */
  readonly deadlineMs?: number;
  readonly retry?: RetryPolicy;
  /** Sent with `login`: the service accepts `client`, the end user's address, from an authenticated service account. */
  readonly credential?: BearerSource;
}

/** With the access token for methods that need one. */
type AuthorizedCallSettings = CallSettings & { readonly accessToken?: string };

/**
 * `postern.v1.AuthService` with promises. Every failure is a `PosternError`, except that an argument of the wrong form
 * rejects with a TypeError and is not sent.
 */
export interface AuthClient extends SecondFactorCalls {
  /**
   * Retried only if nothing was done: the service said so, or there was no connection. SECOND_FACTOR_REQUIRED, with
   * `factors`, asks for the same call with a code or a passkey.
   */
  login(
    request: {
      email: string;
      password: string;
      audience?: string;
      client?: LoginClient;
      /** A code of an authenticator app, or a recovery code. */
      code?: string;
      passkey?: PasskeyAnswer;
    },
    settings?: CallSettings,
  ): Promise<TokenSet>;
  verifyToken(
    request: {
      accessToken: string;
      audience?: string;
      minAcr?: AuthenticationLevel;
      maxAuthAgeSeconds?: number;
    },
    settings?: CallSettings,
  ): Promise<VerifiedToken>;
  /** Safe to retry: within the grace time the same token yields the same successor. */
  refreshToken(refreshToken: string, settings?: CallSettings): Promise<TokenSet>;
  revokeToken(request: { token: string; allSessions?: boolean }, settings?: CallSettings): Promise<void>;
  issueServiceToken(
    request: { clientId: string; clientSecret: string; audience?: string },
    settings?: CallSettings,
  ): Promise<TokenSet>;
  /**
   * Exchanges a token of a trusted issuer, an API key or an access token for an access token; without a `subjectToken` the
   * client certificate of the connection. Retried like `login`, because the token of a CI job can be exchanged only once.
   */
  exchangeToken(
    request: {
      subjectToken?: string;
      serviceAccount?: string;
      audience?: string;
      roles?: readonly string[];
      /** The access token of the service account that acts for the subject. */
      actorToken?: string;
      /** Seconds; shortens only. */
      lifetime?: number;
    },
    settings?: CallSettings,
  ): Promise<TokenSet>;
  /** Ends all sessions of the user and returns the tokens of a new one. Retried like `login`. */
  changePassword(
    request: { accessToken: string; currentPassword: string; newPassword: string },
    settings?: CallSettings,
  ): Promise<TokenSet>;
  /** Retried like `login`. */
  resetPassword(request: { resetToken: string; newPassword: string }, settings?: CallSettings): Promise<void>;
  getJwks(settings?: CallSettings): Promise<JsonWebKeySet>;
  close(): void;
}

const DEADLINE_MS = 5_000;
const MAX_UINT32 = 2 ** 32 - 1;
/**
 * Reasons with which the service answers before it commits anything: after them even a login can be retried without side
 * effects. TRUST_STALE is one because the signing key is required before the session is opened.
 */
const NOT_EXECUTED = new Set(['SERVER_OVERLOADED', 'SHUTTING_DOWN', 'TRUST_STALE']);

/**
 * A service that knows the requirement accepts no token without the claim that is required. One of a release before second
 * factors ignores both fields, and reads neither claim.
 */
const REQUIREMENT_IGNORED =
  'the service accepted the token without checking minAcr and maxAuthAgeSeconds: upgrade it, or the sidecar, to a release with second factors';

/**
 * A client of the service at `address`. It connects on first use, and reconnects when the connection is lost.
 *
 * @throws TypeError for invalid options, and for plaintext to another machine without `insecure`; Error when the TLS files
 *   cannot be read
 */
export function createAuthClient(options: AuthClientOptions): AuthClient {
  throwFaults('createAuthClient', optionFaults(options));
  const stub = new AuthServiceClient(options.address, channelCredentials(options), channelOptions(options));
  const { deadlineMs: defaultDeadlineMs = DEADLINE_MS, retry = standardRetry, credential } = options;

  const target = stub.getChannel().getTarget();
  /** Errors of calls that had no connection: nothing was sent, so nothing was done. */
  const neverSent = new WeakSet<object>();
  let isClosed = false;
  const callUnlessClosed: typeof callOnce = (...call) =>
    isClosed
      ? Promise.reject(new PosternError('the client is closed', { code: status.CANCELLED }))
      : callOnce(...call);

  const retried = <Response>(
    { deadlineMs, signal }: AuthorizedCallSettings,
    call: (remainingMs: number) => Promise<Response>,
  ) => withRetry(deadlineMs ?? defaultDeadlineMs, retry, call, signal);

  const retryAlways = <Request, Response>(
    invoke: Invoke<Request, Response>,
    request: Request,
    settings: AuthorizedCallSettings = {},
  ): Promise<Response> =>
    retried(settings, (remainingMs) => callUnlessClosed(invoke, request, remainingMs, settings));

  const retryIfNotExecuted = <Request, Response>(
    invoke: Invoke<Request, Response>,
    request: Request,
    settings: AuthorizedCallSettings = {},
  ): Promise<Response> =>
    retried(settings, async (remainingMs) => {
      try {
        return await callUnlessClosed(invoke, request, remainingMs, settings, (error, peer) => {
          // Until a call has a connection, its peer is the target of the channel.
          if (peer === target) neverSent.add(error);
        });
      } catch (error) {
        const notExecuted = error instanceof PosternError && NOT_EXECUTED.has(error.reason ?? '');
        if (error instanceof PosternError && !notExecuted && !neverSent.has(error))
          throw new NotRetryable(error);
        throw error;
      }
    }).catch((error: unknown) => {
      throw error instanceof NotRetryable ? error.error : error;
    });

  const asTrustedClient = async (settings?: CallSettings): Promise<AuthorizedCallSettings> => {
    const accessToken = await credential?.accessToken();
    return { ...settings, ...(accessToken !== undefined && { accessToken }) };
  };

  return {
    ...secondFactorCalls(stub, { retryAlways, retryIfNotExecuted, asTrustedClient }),
    async login(request, settings) {
      const others = ['client', 'passkey'];
      validate('login', request, settings, ['email', 'password'], ['audience', 'code'], others);
      const { email, password, audience = '', code = '' } = request;
      const client = clientInfo('login', request.client);
      const passkey = passkeyAssertion('login', request.passkey);
      return retryIfNotExecuted(
        stub.login.bind(stub),
        { email, password, audience, client, code, passkey },
        await asTrustedClient(settings),
      );
    },
    async verifyToken(request, settings) {
      // A whole TokenSet is a good request.
      const others = [...TOKEN_SET_MEMBERS, 'minAcr', 'maxAuthAgeSeconds'];
      validate('verifyToken', request, settings, ['accessToken'], ['audience'], others);
      const { accessToken, audience = '', minAcr, maxAuthAgeSeconds } = request;
      validateRequirements({
        ...(minAcr !== undefined && { minAcr }),
        ...(maxAuthAgeSeconds !== undefined && { maxAuthAgeSeconds }),
      });
      const verified = await retryAlways(
        stub.verifyToken.bind(stub),
        { accessToken, audience, minAcr: minAcr ?? '', maxAuthAge: maxAuthAgeSeconds, clientAddress: '' },
        settings,
      );
      const isIgnored =
        (minAcr !== undefined && verified.acr === '') ||
        (maxAuthAgeSeconds !== undefined && verified.authenticatedAt === undefined);
      if (isIgnored) throw new PosternError(REQUIREMENT_IGNORED, { code: status.UNIMPLEMENTED });
      return verified;
    },
    async refreshToken(refreshToken, settings) {
      if (typeof refreshToken !== 'string')
        throwFaults('refreshToken', ['the first argument must be the refresh token itself, a string']);
      throwFaults('refreshToken', settingFaults(settings));
      return retryAlways(stub.refreshToken.bind(stub), { refreshToken }, settings);
    },
    async revokeToken(request, settings) {
      validate('revokeToken', request, settings, ['token'], [], ['allSessions']);
      const { token, allSessions = false } = request;
      // Any other value would be sent as true or false by accident: ending one session, or all of them.
      if (typeof allSessions !== 'boolean') throwFaults('revokeToken', ['allSessions must be true or false']);
      await retryAlways(stub.revokeToken.bind(stub), { token, allSessions }, settings);
    },
    async issueServiceToken(request, settings) {
      validate('issueServiceToken', request, settings, ['clientId', 'clientSecret'], ['audience']);
      const { clientId, clientSecret, audience = '' } = request;
      return retryAlways(
        stub.issueServiceToken.bind(stub),
        { clientId, clientSecret, audience, clientAssertion: '' },
        settings,
      );
    },
    async exchangeToken(request, settings) {
      const texts = ['subjectToken', 'serviceAccount', 'audience', 'actorToken'];
      validate('exchangeToken', request, settings, [], texts, ['roles', 'lifetime']);
      const {
        subjectToken = '',
        serviceAccount = '',
        audience = '',
        actorToken = '',
        roles,
        lifetime,
      } = request;
      if (roles !== undefined && !isListOfNames(roles))
        throwFaults('exchangeToken', ['roles must be a list of strings']);
      if (lifetime !== undefined && !(Number.isInteger(lifetime) && isDuration(lifetime, MAX_UINT32)))
        throwFaults('exchangeToken', ['lifetime must be a number of seconds, at least 1']);
      const shortening = lifetime === undefined ? {} : { lifetime };
      return retryIfNotExecuted(
        stub.exchangeToken.bind(stub),
        { subjectToken, serviceAccount, audience, actorToken, roles: [...(roles ?? [])], ...shortening },
        settings,
      );
    },
    async changePassword(request, settings) {
      validate('changePassword', request, settings, ['accessToken', 'currentPassword', 'newPassword']);
      const { accessToken, currentPassword, newPassword } = request;
      return retryIfNotExecuted(
        stub.changePassword.bind(stub),
        { currentPassword, newPassword },
        { ...settings, accessToken },
      );
    },
    async resetPassword(request, settings) {
      validate('resetPassword', request, settings, ['resetToken', 'newPassword']);
      const { resetToken, newPassword } = request;
      await retryIfNotExecuted(stub.resetPassword.bind(stub), { resetToken, newPassword }, settings);
    },
    async getJwks(settings) {
      throwFaults('getJwks', settingFaults(settings));
      return retryAlways(stub.getJwks.bind(stub), {}, settings);
    },
    close() {
      isClosed = true;
      stub.close();
    },
  };
}

/** Wraps an error that `withRetry` must not retry. */
class NotRetryable extends Error {
  readonly error: PosternError;

  constructor(error: PosternError) {
    super(error.message);
    this.error = error;
  }
}

function callOnce<Request, Response>(
  invoke: Invoke<Request, Response>,
  request: Request,
  remainingMs: number,
  { signal, requestId, accessToken }: AuthorizedCallSettings,
  onFailure: (error: PosternError, peer: string) => void = () => undefined,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(new PosternError('the caller cancelled the call', { code: status.CANCELLED }));
      return;
    }
    const metadata = new Metadata();
    try {
      if (requestId !== undefined) metadata.set('x-request-id', requestId);
      if (accessToken !== undefined) metadata.set('authorization', `Bearer ${accessToken}`);
    } catch {
      const message =
        'requestId and accessToken are sent as headers and must be printable ASCII, without line breaks';
      reject(new PosternError(message, { code: status.INVALID_ARGUMENT }));
      return;
    }
    const cancel = () => call.cancel();
    const call = invoke(request, metadata, { deadline: Date.now() + remainingMs }, (error, response) => {
      signal?.removeEventListener('abort', cancel);
      if (!error) {
        resolve(response);
        return;
      }
      const failure = isServiceError(error) ? posternErrorOf(error) : error;
      if (failure instanceof PosternError) onFailure(failure, call.getPeer());
      reject(failure);
    });
    signal?.addEventListener('abort', cancel, { once: true });
  });
}
