import { createFileRegistry, type DescMessage, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';

import { descriptorSetBase64 } from '../../src/generated/descriptor-set.ts';
import { methodTable } from '../../src/rpc/method-table.ts';
import { account, type Tokens, verdictOf } from '../support/account.ts';
import { openAdminFixture } from '../support/admin-fixture.ts';
import { serviceToken } from '../support/callers.ts';
import {
  addPasskey,
  assertionOf,
  beginLogin,
  beginRegistration,
  finishRegistration,
  loginWithPasskey,
  PASSKEY_ORIGIN,
  passkeyEnvironment,
} from '../support/passkeys.ts';
import {
  addTotp,
  bearer,
  forgetUsedCodes,
  type TestFactor,
  totpOf,
  wrongTotpOf,
} from '../support/second-factors.ts';
import { forgetAuthentication } from '../support/session-level.ts';
import { SoftwareAuthenticator } from '../support/software-authenticator.ts';
import { type Message, type Outcome, startTestService, type TestService } from '../support/test-service.ts';

const email = 'grace@example.com';
const password = 'correct horse battery';
const better = 'a staple for the horse';
let service: TestService;
let factor: TestFactor;
let authenticator: SoftwareAuthenticator;
/** A session of the user below `aal2`, as one of the release before. */
let low: Tokens;
let high: Tokens;

beforeAll(async () => {
  service = await startTestService({ ...passkeyEnvironment, POSTERN_SECOND_FACTOR_ROLES: 'admin' });
  await service.addUser(email, password, ['admin', 'reader']);
  factor = await addTotp(service, await service.tokenOf(email, password));
  authenticator = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
  await addPasskey(service, factor.accessToken, authenticator);
});
// Adding a factor ends the other sessions.
beforeEach(async () => {
  await service.database.query('DELETE FROM login_throttle');
  low = await loggedIn();
  await forgetAuthentication(service.database, low.session_id);
  low = await account.refresh(service, low.refresh_token);
  high = await loggedIn();
});
afterAll(() => service.stop());

const call = (method: string, request: Message, token?: string) =>
  service.call(`postern.v1.AuthService/${method}`, request, token === undefined ? {} : bearer(token));
async function code(): Promise<string> {
  await forgetUsedCodes(service, factor.factorId);
  return totpOf(factor.secret);
}
async function loggedIn(): Promise<Tokens> {
  const { response, message } = await call('Login', { email, password, code: await code() });
  if (!response) throw new Error(message);
  return response as unknown as Tokens;
}
/** The level of the access token in an answer, with whether it has the role that needs `aal2`; else the reason of the refusal. */
async function levelOf(outcome: Outcome): Promise<string> {
  if (!outcome.response) return verdictOf(outcome);
  const tokens = (outcome.response['tokens'] ?? outcome.response) as Message;
  const { response } = await call('VerifyToken', { access_token: tokens['access_token'] });
  const isAdmin = (response?.['roles'] as string[]).includes('admin');
  return `${String(response?.['acr'])}${isAdmin ? ' admin' : ''}`;
}

interface Row {
  /**
   * `opens`: it passes `requireSecondFactor`, or a passkey alone. `continues`: the level of the new token is that of the session or of the token that was
   * shown, unless a factor was proven. `adds`: a factor, which is proven by it. `no user`.
   */
  readonly kind: 'opens' | 'continues' | 'adds' | 'no user';
  /** What a user with a second factor gets without and with proof of it. */
  readonly answers: () => Promise<Readonly<Record<string, string>>>;
  readonly expected: Readonly<Record<string, string>>;
}

/** Every method that returns a TokenSet, whatever its class. A new one must say here how it heeds second factors. */
const rows: Readonly<Record<string, Row>> = {
  '/postern.v1.AuthService/Login': {
    kind: 'opens',
    answers: async () => ({
      'password alone': await levelOf(await call('Login', { email, password })),
      'wrong code': await levelOf(await call('Login', { email, password, code: wrongTotpOf(factor.secret) })),
      code: await levelOf(await call('Login', { email, password, code: await code() })),
      passkey: await levelOf(
        await call('Login', {
          email,
          password,
          passkey: assertionOf(authenticator, await beginLogin(service)),
        }),
      ),
    }),
    expected: {
      'password alone': 'SECOND_FACTOR_REQUIRED',
      'wrong code': 'SECOND_FACTOR_INVALID',
      code: 'aal2 admin',
      passkey: 'aal2 admin',
    },
  },
  '/postern.v1.AuthService/LoginWithPasskey': {
    kind: 'opens',
    answers: async () => ({
      passkey: await levelOf(await loginWithPasskey(service, authenticator)),
      'a passkey that did not verify the user': await levelOf(
        await loginWithPasskey(service, authenticator, { flags: 0x01 }),
      ),
    }),
    expected: { passkey: 'aal2 admin', 'a passkey that did not verify the user': 'PASSKEY_INVALID' },
  },
  '/postern.v1.AuthService/RefreshToken': {
    kind: 'continues',
    answers: async () => {
      const refreshed = (tokens: Tokens) => account.tryRefresh(service, tokens.refresh_token);
      return { aal1: await levelOf(await refreshed(low)), aal2: await levelOf(await refreshed(high)) };
    },
    expected: { aal1: 'aal1', aal2: 'aal2 admin' },
  },
  '/postern.v1.AuthService/StepUp': {
    kind: 'continues',
    answers: async () => {
      const own = await loggedIn();
      await forgetAuthentication(service.database, own.session_id);
      const { access_token } = await account.refresh(service, own.refresh_token);
      return {
        password: await levelOf(await call('StepUp', { password }, access_token)),
        code: await levelOf(await call('StepUp', { code: await code() }, access_token)),
      };
    },
    expected: { password: 'SECOND_FACTOR_REQUIRED', code: 'aal2 admin' },
  },
  '/postern.v1.AuthService/ExchangeToken': {
    kind: 'continues',
    answers: async () => {
      const api_key = { name: 'reader', roles: ['reader'] };
      const key = await call('CreateApiKey', api_key, high.access_token);
      return {
        aal1: await levelOf(await call('ExchangeToken', { subject_token: low.access_token })),
        aal2: await levelOf(await call('ExchangeToken', { subject_token: high.access_token })),
        'API key': await levelOf(await call('ExchangeToken', { subject_token: key.response?.['secret'] })),
      };
    },
    expected: { aal1: 'aal1', aal2: 'aal2 admin', 'API key': '' },
  },
  '/postern.v1.AuthService/ConfirmFactor': {
    kind: 'adds',
    answers: async () => ({
      aal1: await levelOf(await call('EnrolTotp', { name: 'thief' }, low.access_token)),
      // Enrolled by somebody with the level, confirmed by somebody without.
      'aal1, enrolled at aal2': await levelOf(await confirmed(low.access_token)),
      aal2: await levelOf(await confirmed(high.access_token)),
    }),
    expected: {
      aal1: 'STEP_UP_REQUIRED',
      'aal1, enrolled at aal2': 'STEP_UP_REQUIRED',
      aal2: 'aal2 admin',
    },
  },
  '/postern.v1.AuthService/FinishPasskeyRegistration': {
    kind: 'adds',
    answers: async () => {
      const another = new SoftwareAuthenticator({ origin: PASSKEY_ORIGIN });
      const begun = await call('BeginPasskeyRegistration', {}, low.access_token);
      const challenge = await beginRegistration(service, high.access_token);
      const credential = another.register(challenge.options);
      return {
        aal1: await levelOf(begun),
        'aal1, begun at aal2': await levelOf(
          await finishRegistration(service, low.access_token, challenge, credential),
        ),
        aal2: await levelOf(await finishRegistration(service, high.access_token, challenge, credential)),
      };
    },
    expected: { aal1: 'STEP_UP_REQUIRED', 'aal1, begun at aal2': 'STEP_UP_REQUIRED', aal2: 'aal2 admin' },
  },
  '/postern.v1.AuthService/IssueServiceToken': {
    kind: 'no user',
    answers: async () => {
      const fixture = await openAdminFixture(service.database);
      const access_token = await serviceToken(service, await fixture.createService('robot', ['admin']));
      const { response } = await call('VerifyToken', { access_token });
      return { acr: String(response?.['acr']), subject: String(response?.['subject_type']) };
    },
    expected: { acr: '', subject: 'SERVICE' },
  },
  '/postern.v1.AuthService/ChangePassword': {
    kind: 'continues',
    answers: async () => {
      const change = { current_password: password, new_password: better };
      return {
        aal1: await levelOf(await call('ChangePassword', change, low.access_token)),
        aal2: await levelOf(await call('ChangePassword', change, high.access_token)),
      };
    },
    expected: { aal1: 'STEP_UP_REQUIRED', aal2: 'aal2 admin' },
  },
};

async function confirmed(token: string): Promise<Outcome> {
  const { response } = await call('EnrolTotp', { name: 'tablet' }, high.access_token);
  const confirmation = { factor_id: response?.['factor_id'], code: totpOf(String(response?.['secret'])) };
  return call('ConfirmFactor', confirmation, token);
}

/** The RPCs in whose answer there is a TokenSet, however deep. */
function methodsWithTokens(): string[] {
  const registry = createFileRegistry(
    fromBinary(FileDescriptorSetSchema, Buffer.from(descriptorSetBase64, 'base64')),
  );
  const has = (message: DescMessage, seen: readonly string[] = []): boolean =>
    message.typeName === 'postern.v1.TokenSet' ||
    message.fields.some(
      ({ message: inner }) =>
        inner !== undefined && !seen.includes(inner.typeName) && has(inner, [...seen, inner.typeName]),
    );
  return [...registry].flatMap((type) =>
    type.kind !== 'service'
      ? []
      : type.methods
          .filter(({ output }) => has(output))
          .map(({ name }) => `/${type.typeName}/${name}`)
          .filter((path) => Object.hasOwn(methodTable, path)),
  );
}

test('M37 every method that returns a TokenSet is on the list', () => {
  expect(methodsWithTokens().sort()).toEqual(Object.keys(rows).sort());
});

describe('M38 a user with a second factor', () => {
  // The password is changed last.
  test.each(Object.entries(rows))('%s', async (_path, { answers, expected }) => {
    expect(await answers()).toEqual(expected);
  });
});
