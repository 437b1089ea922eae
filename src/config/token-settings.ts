import { optional, secret, type Setting, setting } from './setting-row.ts';
import type { SettingValues } from './setting-values.ts';
import * as value from './setting-parsers.ts';

/** Settings of tokens, sessions and keys. */
export const tokenSettingRows = {
  issuer: {
    ...setting(
      'POSTERN_ISSUER',
      'http://127.0.0.1:8080',
      'The issuer (`iss`) of every token: an http or https URL.',
      value.issuer,
    ),
    displayedDefault: '`http://127.0.0.1:8080`; with the embedded database the port of `POSTERN_HTTP_LISTEN`',
    fallback: ({ production, httpPort }) =>
      `http://127.0.0.1:${production || httpPort === null ? 8080 : httpPort}`,
  },
  audiences: setting(
    'POSTERN_AUDIENCE',
    'postern',
    'The audiences (`aud`) that tokens can have, separated by commas. The first is the default.',
    value.audiences,
  ),
  apiAudience: {
    ...optional(
      'POSTERN_API_AUDIENCE',
      "The audience of Postern's own API, one of `POSTERN_AUDIENCE`. Only tokens for it can call AdminService, WatchTrust " +
        'and ChangePassword, so that a service which receives a token for itself cannot use it here. In a sidecar: the ' +
        'audience that its service account requests.',
      value.audience,
    ),
    displayedDefault: 'the first of `POSTERN_AUDIENCE`',
  },
  algorithm: setting(
    'POSTERN_ALGORITHM',
    'ES256',
    'The signature algorithm of tokens: `ES256`, `RS256`, `EdDSA`, or `HS256` with `POSTERN_SECRET`.',
    value.oneOf('ES256', 'RS256', 'EdDSA', 'HS256'),
  ),
  secret: secret(
    'POSTERN_SECRET',
    'The shared secret for `HS256`: at least 32 bytes of text, used as they are, without decoding (`openssl rand -hex 32`).',
    value.sharedSecret,
  ),
  legacySecret: secret(
    'POSTERN_LEGACY_HS256_SECRET',
    'The `HS256` secret of an earlier login system. Tokens signed with it are accepted until `POSTERN_LEGACY_HS256_UNTIL`.',
    value.sharedSecret,
  ),
  legacyUntilMs: optional(
    'POSTERN_LEGACY_HS256_UNTIL',
    'When tokens of `POSTERN_LEGACY_HS256_SECRET` stop being accepted: a date (midnight UTC at its start) or a time such as ' +
      '`2027-01-31T12:00:00Z`.',
    value.momentMs,
  ),
  legacySubjectClaims: setting(
    'POSTERN_LEGACY_HS256_SUBJECT',
    'user_id,sub',
    'The claims in which such a token can name the user, separated by commas. It must have exactly one of them. Add `id` ' +
      'or another name if the earlier login used it.',
    value.subjectClaims,
  ),
  legacyIssuers: optional(
    'POSTERN_LEGACY_HS256_ISSUER',
    'The issuers (`iss`) of such tokens, separated by commas; each token must have one of them, exactly. When absent, ' +
      '`iss` must be absent or null.',
    value.legacyNames,
  ),
  legacyAudiences: optional(
    'POSTERN_LEGACY_HS256_AUDIENCE',
    'The audiences (`aud`) of such tokens, separated by commas; each token must have one of them, exactly. When absent, ' +
      '`aud` must be absent or null.',
    value.legacyNames,
  ),
  masterKey: secret(
    'POSTERN_MASTER_KEY',
    'The key that encrypts the signing keys and the root key in the database: 32 bytes in base64 ' +
      '(`openssl rand -base64 32`). Required in production. With the embedded database it is generated when absent.',
    value.masterKey,
  ),
  masterKeyPrevious: secret(
    'POSTERN_MASTER_KEY_PREVIOUS',
    'The previous master key. Set it during a rotation, until `postern key rewrap` has encrypted every key with the new one.',
    value.masterKey,
  ),
  accessTokenTtlSeconds: setting(
    'POSTERN_ACCESS_TOKEN_TTL',
    '10m',
    'The lifetime of an access token, `1s` to `24h`.',
    value.seconds('1s', '24h'),
  ),
  refreshTokenTtlSeconds: setting(
    'POSTERN_REFRESH_TOKEN_TTL',
    '30d',
    'The lifetime of a session, counted from login, `1s` to `3650d`. Refreshing does not extend it.',
    value.seconds('1s', '3650d'),
  ),
  refreshIdleSeconds: setting(
    'POSTERN_REFRESH_IDLE',
    '14d',
    'A session expires when it is not refreshed for this long, `1s` to `3650d`.',
    value.seconds('1s', '3650d'),
  ),
  refreshGraceSeconds: setting(
    'POSTERN_REFRESH_GRACE',
    '10s',
    'How long after its first use a refresh token may be used again, up to `10m`. It then returns the same new tokens ' +
      '(for clients that lost the response, and for several tabs), up to 100 times in a row. With `0s`, any second use ' +
      'ends the session. A thief gains from it: a stolen token that its owner has used still works for 10 seconds at ' +
      '`10s`, and for 10 minutes at `10m`. At `10m` a thief who refreshes about as often as the owner is not noticed ' +
      '([what a thief gains](promises.md#what-a-thief-gains-by-the-grace-time)). Raise it only for clients that lose ' +
      'responses for longer, such as phones. Every instance must run a release that knows the longer value.',
    value.seconds('0s', '10m'),
  ),
  refreshTokenForm: setting(
    'POSTERN_REFRESH_TOKEN_FORM',
    '2',
    'The form of the refresh tokens that are issued, `1` or `2`. Both are accepted, whatever is set. A token of form `2` is ' +
      'judged before the database is asked, and a refresh with it takes one statement instead of two. Releases ' +
      'without this setting accept form `1` only: set `1` while they run beside this release, and before you go back to one ' +
      '([Upgrade](operations.md#the-form-of-refresh-tokens)).',
    value.oneOf('1', '2'),
  ),
  sessionsPerUser: setting(
    'POSTERN_SESSIONS_PER_USER',
    '100',
    'The maximum number of live sessions per user, 1 to 10000. A further login ends the oldest.',
    value.count(1, 10_000),
  ),
  auditRefreshes: setting(
    'POSTERN_AUDIT_REFRESHES',
    'all',
    'Which refreshes are in the [audit trail](administration.md#the-audit-trail): `all`, or `daily`, the first of each session on ' +
      'each day (UTC). Logins, refusals and reuse of a refresh token are always in it.',
    value.oneOf('all', 'daily'),
  ),
  secondFactorRoles: {
    ...setting(
      'POSTERN_SECOND_FACTOR_ROLES',
      '',
      'Roles that need a second factor, separated by commas, such as `admin`. A user who has one of them gets it only in tokens ' +
        'of level `aal2`, and never in an API key. With `admin` in it, AdminService refuses administrators below `aal2`. ' +
        'Service accounts and client certificates are exempt.',
      value.roles,
    ),
    displayedDefault: 'none',
    fallback: () => [],
  },
  keyRotationSeconds: setting(
    'POSTERN_KEY_ROTATION',
    '30d',
    'How long a signing key is used before the next one replaces it. At least `POSTERN_JWKS_MAX_AGE`.',
    value.seconds('1s', '3650d'),
  ),
  jwksMaxAgeSeconds: setting(
    'POSTERN_JWKS_MAX_AGE',
    '10m',
    'How long verifiers may cache the key set, `1s` to `24h`. A new key is published for this long before it signs.',
    value.seconds('1s', '24h'),
  ),
  maxStalenessSeconds: setting(
    'POSTERN_MAX_STALENESS',
    '5m',
    'How old the known revocations may be, `1s` to `24h`. When they are older, verification answers UNAVAILABLE. ' +
      'Alert at 60 s.',
    value.seconds('1s', '24h'),
  ),
} satisfies { readonly [K in keyof SettingValues]?: Setting<SettingValues[K]> };
