import type { CallOptions, ClientUnaryCall, Metadata, ServiceError } from '@grpc/grpc-js';

import type {
  AuthServiceClient,
  FactorConfirmed,
  FactorList,
  PasskeyAssertion,
  PasskeyChallenge,
  RecoveryCodes,
  TokenSet,
  TotpEnrolment,
} from '../generated/postern/v1/auth.ts';
import { requestFaults, throwFaults } from './argument-checks.ts';
import { type CallSettings, TOKEN_SET_MEMBERS, validate } from './call-checks.ts';

/** What a browser answered to the challenge of `beginPasskeyLogin`. */
export interface PasskeyAnswer {
  readonly challengeToken: string;
  /** The JSON of the credential's `toJSON()`. */
  readonly credentialJson: string;
}

/** A fresh proof of the user: exactly one of the members. */
export type StepUpProof =
  | { readonly password: string; readonly code?: undefined; readonly passkey?: undefined }
  | { readonly code: string; readonly password?: undefined; readonly passkey?: undefined }
  | { readonly passkey: PasskeyAnswer; readonly password?: undefined; readonly code?: undefined };

/** What a web framework knows of the client. What it does not know may be undefined. */
export interface LoginClient {
  readonly address?: string | undefined;
  readonly userAgent?: string | undefined;
}

interface Caller {
  readonly accessToken: string;
}

/**
 * The methods for second factors and passkeys. A code and a passkey answer can be used once, so a call with one is retried
 * only if nothing was done.
 */
export interface SecondFactorCalls {
  /** Raises or renews the session. The answer has no refresh token: keep the one that you have. */
  stepUp(request: Caller & StepUpProof, settings?: CallSettings): Promise<TokenSet>;
  enrolTotp(request: Caller & { name?: string }, settings?: CallSettings): Promise<TotpEnrolment>;
  confirmFactor(
    request: Caller & { factorId: string; code: string },
    settings?: CallSettings,
  ): Promise<FactorConfirmed>;
  beginPasskeyRegistration(request: Caller, settings?: CallSettings): Promise<PasskeyChallenge>;
  finishPasskeyRegistration(
    request: Caller & PasskeyAnswer & { name?: string },
    settings?: CallSettings,
  ): Promise<FactorConfirmed>;
  beginPasskeyLogin(settings?: CallSettings): Promise<PasskeyChallenge>;
  loginWithPasskey(
    request: PasskeyAnswer & { audience?: string; client?: LoginClient },
    settings?: CallSettings,
  ): Promise<TokenSet>;
  listFactors(request: Caller, settings?: CallSettings): Promise<FactorList>;
  deleteFactor(request: Caller & { factorId: string }, settings?: CallSettings): Promise<void>;
  /** The old codes are refused from then on. */
  replaceRecoveryCodes(request: Caller, settings?: CallSettings): Promise<RecoveryCodes>;
}

/** A method of the generated stub. */
export type Invoke<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

type Call = <Request, Response>(
  invoke: Invoke<Request, Response>,
  request: Request,
  settings?: CallSettings & Partial<Caller>,
) => Promise<Response>;

/** How the client calls the service. */
interface CallForms {
  readonly retryAlways: Call;
  readonly retryIfNotExecuted: Call;
  /** The settings with the token of the client's own credential, which lets it send `client`. */
  readonly asTrustedClient: (settings?: CallSettings) => Promise<CallSettings & Partial<Caller>>;
}

export function secondFactorCalls(
  stub: AuthServiceClient,
  { retryAlways, retryIfNotExecuted, asTrustedClient }: CallForms,
): SecondFactorCalls {
  return {
    async stepUp(request, settings) {
      validate(
        'stepUp',
        request,
        settings,
        ['accessToken'],
        ['password', 'code'],
        ['passkey', ...OF_TOKEN_SET],
      );
      const { accessToken, password, code, passkey } = request;
      const proofs = [password, code, passkey].filter((proof) => proof !== undefined);
      if (proofs.length !== 1) throwFaults('stepUp', ['send exactly one of password, code and passkey']);
      return retryIfNotExecuted(
        stub.stepUp.bind(stub),
        { password: password ?? '', code: code ?? '', passkey: passkeyAssertion('stepUp', passkey) },
        { ...settings, accessToken },
      );
    },
    async enrolTotp(request, settings) {
      validate('enrolTotp', request, settings, ['accessToken'], ['name'], OF_TOKEN_SET);
      const { accessToken, name = '' } = request;
      return retryIfNotExecuted(stub.enrolTotp.bind(stub), { name }, { ...settings, accessToken });
    },
    async confirmFactor(request, settings) {
      validate('confirmFactor', request, settings, ['accessToken', 'factorId', 'code'], [], OF_TOKEN_SET);
      const { accessToken, factorId, code } = request;
      const confirm = stub.confirmFactor.bind(stub);
      return retryIfNotExecuted(confirm, { factorId, code }, { ...settings, accessToken });
    },
    async beginPasskeyRegistration(request, settings) {
      validate('beginPasskeyRegistration', request, settings, ['accessToken'], [], OF_TOKEN_SET);
      const { accessToken } = request;
      return retryAlways(stub.beginPasskeyRegistration.bind(stub), {}, { ...settings, accessToken });
    },
    async finishPasskeyRegistration(request, settings) {
      const required = ['accessToken', 'challengeToken', 'credentialJson'];
      validate('finishPasskeyRegistration', request, settings, required, ['name'], OF_TOKEN_SET);
      const { accessToken, challengeToken, credentialJson, name = '' } = request;
      const finish = stub.finishPasskeyRegistration.bind(stub);
      return retryIfNotExecuted(
        finish,
        { challengeToken, credentialJson, name },
        { ...settings, accessToken },
      );
    },
    async beginPasskeyLogin(settings) {
      validate('beginPasskeyLogin', {}, settings, []);
      return retryAlways(stub.beginPasskeyLogin.bind(stub), {}, settings);
    },
    async loginWithPasskey(request, settings) {
      const required = ['challengeToken', 'credentialJson'];
      validate('loginWithPasskey', request, settings, required, ['audience'], ['client']);
      const { challengeToken, credentialJson, audience = '', client } = request;
      return retryIfNotExecuted(
        stub.loginWithPasskey.bind(stub),
        { challengeToken, credentialJson, audience, client: clientInfo('loginWithPasskey', client) },
        await asTrustedClient(settings),
      );
    },
    async listFactors(request, settings) {
      validate('listFactors', request, settings, ['accessToken'], [], OF_TOKEN_SET);
      const { accessToken } = request;
      return retryAlways(stub.listFactors.bind(stub), {}, { ...settings, accessToken });
    },
    async deleteFactor(request, settings) {
      validate('deleteFactor', request, settings, ['accessToken', 'factorId'], [], OF_TOKEN_SET);
      const { accessToken, factorId } = request;
      await retryIfNotExecuted(stub.deleteFactor.bind(stub), { factorId }, { ...settings, accessToken });
    },
    async replaceRecoveryCodes(request, settings) {
      validate('replaceRecoveryCodes', request, settings, ['accessToken'], [], OF_TOKEN_SET);
      const { accessToken } = request;
      return retryIfNotExecuted(stub.replaceRecoveryCodes.bind(stub), {}, { ...settings, accessToken });
    },
  };
}

/** A whole TokenSet is a good request. */
const OF_TOKEN_SET = TOKEN_SET_MEMBERS.filter((member) => member !== 'accessToken');

/** @throws TypeError for the function `name` */
export function passkeyAssertion(name: string, passkey: unknown): PasskeyAssertion | undefined {
  if (passkey === undefined) return undefined;
  throwFaults(`${name}: passkey`, requestFaults(passkey, ['challengeToken', 'credentialJson']));
  const { challengeToken, credentialJson } = passkey as PasskeyAnswer;
  return { challengeToken, credentialJson };
}

/** @throws TypeError for the function `name` */
export function clientInfo(
  name: string,
  client: LoginClient | undefined,
): { address: string; userAgent: string } | undefined {
  if (client === undefined) return undefined;
  throwFaults(`${name}: client`, requestFaults(client, [], ['address', 'userAgent']));
  const { address = '', userAgent = '' } = client;
  return { address, userAgent };
}
