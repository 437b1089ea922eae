import type { Reason } from '../../../src/generated/postern/v1/reason.ts';

/** Every action of the audit trail, by subject, in words that hold for what was done and for what was refused. */
export const actionGroups: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  [
    'Logins and sessions',
    {
      login: 'Log in',
      'token.refresh': 'Renew a session',
      'token.reuse': 'Use a refresh token again: ends the session',
      'token.revoke': 'Revoke a token: ends its session',
      'session.step-up': 'Prove a second factor',
      'session.read': 'List sessions',
      'session.revoke': 'End sessions',
    },
  ],
  [
    'Passwords',
    {
      'password.change': 'Change a password',
      'password.reset': 'Reset a password',
      'password.reset.create': 'Create a reset token',
    },
  ],
  [
    'Users',
    {
      'user.create': 'Create a user',
      'user.update': 'Change a user',
      'user.disable': 'Disable a user',
      'user.enable': 'Enable a user',
      'user.delete': 'Delete a user',
      'user.import': 'Import users',
      'user.import.batch': 'Import a batch of users',
      'user.read': 'Read users',
    },
  ],
  [
    'Second factors',
    {
      'factor.enrol': 'Begin a second factor',
      'factor.add': 'Add a second factor',
      'factor.delete': 'Delete a second factor',
      'factor.read': 'List second factors',
      'factor.reset': 'Reset second factors',
      'factor.wrong-codes': 'Enter wrong codes',
      'recovery-codes.replace': 'Replace recovery codes',
      'recovery-code.use': 'Use a recovery code',
    },
  ],
  [
    'API keys',
    {
      'key.api.create': 'Create an API key',
      'key.api.read': 'List API keys',
      'key.api.rotate': 'Rotate an API key',
      'key.api.revoke': 'Revoke an API key',
    },
  ],
  [
    'Service accounts',
    {
      'service.token': 'Issue a token to a service',
      'service.create': 'Create a service account',
      'service.read': 'Read service accounts',
      'service.update': 'Change a service account',
      'service.delete': 'Delete a service account',
      'service.rotate': 'Rotate a service secret',
      'service.key.add': 'Add a public key',
      'service.key.delete': 'Delete a public key',
      'audience.create': 'Add an audience',
      'audience.read': 'List audiences',
      'audience.delete': 'Delete an audience',
    },
  ],
  [
    'Outside identities',
    {
      'token.exchange': 'Exchange a token',
      'issuer.create': 'Trust an issuer',
      'issuer.read': 'Read trusted issuers',
      'issuer.update': 'Change a trusted issuer',
      'issuer.delete': 'Delete a trusted issuer',
      'binding.create': 'Create a binding',
      'binding.read': 'Read bindings',
      'binding.delete': 'Delete a binding',
    },
  ],
  [
    'Keys, verifiers, audit',
    {
      'key.read': 'List signing keys',
      'key.rotate': 'Rotate the signing key',
      'key.revoke': 'Revoke a signing key',
      'trust.watch': 'Watch keys and revocations',
      'audit.read': 'Read the audit trail',
      'overview.read': 'Read the overview',
    },
  ],
];

const actions: Readonly<Record<string, string>> = Object.fromEntries(
  actionGroups.flatMap(([, group]) => Object.entries(group)),
);

/** What an action is called. An action of a later release keeps its name. */
export function actionWords(action: string): string {
  return actions[action] ?? action;
}

/** Why something was refused, for whoever looks for the cause. */
const reasons: Readonly<
  Record<Exclude<keyof typeof Reason, 'REASON_UNSPECIFIED' | 'UNRECOGNIZED'> | 'restore', string>
> = {
  INVALID_CREDENTIALS: 'the credentials are wrong',
  CREDENTIALS_MISSING: 'the call had no credential',
  RESET_TOKEN_INVALID: 'the reset token is invalid, used or expired',
  TOKEN_MALFORMED: 'the token is not an access token of Postern',
  TOKEN_TOO_LARGE: 'the token is longer than any access token',
  TOKEN_ALG_NOT_ALLOWED: 'the algorithm of the token is not that of its key',
  TOKEN_KEY_UNKNOWN: 'the key of the token is not published: removed, revoked or never known',
  TOKEN_SIGNATURE_INVALID: 'the signature of the token is wrong',
  TOKEN_TYPE_INVALID: 'the token is of another type',
  TOKEN_CLAIMS_INVALID: 'a claim of the token is missing or wrong',
  TOKEN_EXPIRED: 'the token has expired',
  TOKEN_NOT_YET_VALID: 'the token is not valid yet: clocks differ',
  TOKEN_REVOKED: 'the token, its session or its user is revoked',
  TOKEN_REPLAYED: 'the token was used before, and is accepted once only',
  REFRESH_TOKEN_INVALID: 'no refresh token of this service',
  REFRESH_TOKEN_EXPIRED: 'the session has expired',
  REFRESH_TOKEN_REUSED: 'the refresh token was used before, and may have been stolen',
  REFRESH_TOKEN_REVOKED: 'the session had ended',
  REFRESH_RATE_LIMITED: 'the refresh token was repeated too often',
  ADMIN_REQUIRED: 'the caller is no administrator',
  SERVICE_REQUIRED: 'the caller is neither a service account nor a listed certificate',
  LOGIN_RATE_LIMITED: 'too many failed logins',
  STORE_UNAVAILABLE: 'the database did not answer',
  SERVER_OVERLOADED: 'too much work was waiting',
  TRUST_STALE: 'keys and revocations were not up to date',
  SHUTTING_DOWN: 'the instance was stopping',
  FIELD_INVALID: 'a field was invalid',
  PASSWORD_POLICY: 'the new password breaks the password policy',
  EMAIL_TAKEN: 'another user has the e-mail',
  ID_TAKEN: 'the id belongs or belonged to somebody else',
  EXTERNAL_ID_TAKEN: 'another user has the external id',
  NAME_TAKEN: 'another service account has the name',
  CLAIMS_TOO_LONG: 'roles and external id do not fit into a token',
  RESOURCE_NOT_FOUND: 'there was no such thing',
  LAST_ADMIN: 'no administrator would have been left',
  CONFLICT: 'it was changed concurrently',
  NO_SIGNING_KEYS: 'there are no signing keys with HS256',
  ROLE_MISSING: 'a required role is missing',
  METHOD_NOT_LISTED: 'the policy does not list the method',
  ACTOR_NOT_ALLOWED: 'the policy allows no such actor',
  MESSAGE_TOO_LARGE: 'the request was too large',
  METADATA_TOO_LARGE: 'the metadata was too large',
  READER_TOO_SLOW: 'the client read too slowly',
  STREAM_LIMIT_REACHED: 'too many streams were open',
  STREAM_IDLE: 'the stream was idle',
  ISSUER_NOT_TRUSTED: 'the issuer of the token is not trusted',
  IDENTITY_NOT_BOUND: 'the token or certificate is bound to no service account',
  EXCHANGE_NOT_ALLOWED: 'the exchange would have given more than is allowed',
  ISSUER_TAKEN: 'the issuer is trusted already',
  API_KEY_INVALID: 'the API key is not accepted',
  API_KEY_LIMIT_REACHED: 'there are as many API keys as there may be',
  AUDIENCE_LIMIT_REACHED: 'there are as many audiences as there may be',
  CREDENTIAL_NOT_ALLOWED: 'only a token of a login is accepted here',
  SECOND_FACTOR_REQUIRED: 'the password was right, a second factor was asked for',
  SECOND_FACTOR_INVALID: 'the second factor is wrong',
  STEP_UP_REQUIRED: 'a fresh second factor was asked for',
  PASSKEY_INVALID: 'the passkey is not accepted',
  PASSKEYS_DISABLED: 'passkeys are off',
  FACTOR_LIMIT_REACHED: 'the user has as many second factors as one may have',
  restore: 'the database was restored from a backup',
};

/** The exact cause, which the caller did not learn. Some stand under several reasons. */
const causes: Readonly<Record<string, string>> = {
  'unknown-user': 'no user has this e-mail',
  'wrong-password': 'wrong password',
  disabled: 'the user is disabled',
  'no-password': 'the user has no password yet',
  'unknown-service': 'unknown service account',
  'wrong-secret': 'wrong secret',
  'unknown-key': 'unknown key of a service account',
  'forged-key': 'the stored key was altered',
  'wrong-signature': 'wrong signature of the assertion',
  'unknown-or-old': 'unknown, used or expired reset token',
  unknown: 'unknown',
  forged: 'forged',
  audience: 'its audience is gone',
  expired: 'expired',
  ended: 'the session had ended',
  revoked: 'revoked',
  'owner-disabled': 'its owner is disabled',
  network: 'used from a network that is not allowed',
  wrong: 'wrong code',
  used: 'the code was used before',
  'too-many-failures': 'too many wrong codes: locked for a day',
  unreadable: 'the stored secret cannot be read with the master key',
};

/** Why an event happened, in words; empty where the event does not say. @param details the JSON of the event */
export function reasonWords({ reason = '', details = '' }: { reason?: string; details?: string }): string {
  const words = (reasons as Readonly<Record<string, string>>)[reason] ?? reason;
  const { cause } = objectOf(details);
  if (typeof cause !== 'string') return words;
  return `${words}: ${causes[cause] ?? cause.replaceAll('-', ' ')}`;
}

/** One member of the details: its name, and its value as text. */
export interface Detail {
  readonly name: string;
  readonly value: string;
  /** The value after a change, where `value` is the one before. */
  readonly after?: string;
}

/** The details of an event, one line each. Of `before` and `after` each member is a line, those that differ first. */
export function detailLines(details: string | undefined): Detail[] {
  const { before, after, ...others } = objectOf(details ?? '');
  const lines: Detail[] = [];
  if (isObject(before) || isObject(after)) {
    const [was, is] = [isObject(before) ? before : {}, isObject(after) ? after : {}];
    for (const name of new Set([...Object.keys(was), ...Object.keys(is)])) {
      const value = text(was[name]);
      lines.push(
        isObject(after) ? { name, value, after: text(is[name]) } : { name: `${name} before`, value },
      );
    }
    lines.sort((a, b) => Number(isChange(b)) - Number(isChange(a)));
  } else {
    if (before !== undefined) others['before'] = before;
    if (after !== undefined) others['after'] = after;
  }
  for (const [name, value] of Object.entries(others)) {
    // Whether an issuer is disabled is recorded as a pair: before, after.
    if (name === 'disabled' && Array.isArray(value) && value.length === 2)
      lines.unshift({ name, value: text(value[0]), after: text(value[1]) });
    else lines.push({ name, value: text(value) });
  }
  return lines;
}

export function isChange({ value, after }: Detail): boolean {
  return after !== undefined && after !== value;
}

function text(value: unknown): string {
  if (value === undefined || value === null) return '–';
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(text).join(', ');
  return JSON.stringify(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function objectOf(json: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}
