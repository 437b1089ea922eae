import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { nearestName } from './domain/nearest-name.ts';
import type { Secret } from './domain/secret.ts';
import type { SettingValues, SettingsPurpose } from './domain/setting-rules.ts';
import { brokenSettingRules } from './domain/setting-rules.ts';
import * as value from './domain/setting-value.ts';

export type { Algorithm, LogLevel, SettingsPurpose } from './domain/setting-rules.ts';

/** Tokens of the time before Postern, signed with this secret, are accepted until this moment (Unix time, ms). */
export interface LegacyDoor {
  readonly secret: Secret;
  readonly untilMs: number;
}

/** Everything that the environment decides, parsed and checked. */
export interface Settings extends Omit<SettingValues, 'legacySecret' | 'legacyUntilMs'> {
  /** Whether DATABASE_URL is set. */
  readonly production: boolean;
  readonly legacyDoor: LegacyDoor | null;
  /** Lines for whoever starts the service: what is allowed, yet probably not meant. */
  readonly warnings: readonly string[];
}

export type Environment = Readonly<Record<string, string | undefined>>;

export interface LoadOptions {
  /** `serve` when left out. */
  readonly for?: SettingsPurpose;
  /** Gives a file's text, or throws. */
  readonly readFile?: (path: string) => string;
  readonly nowMs?: number;
}

/** Every fault of the settings at once: each line names a setting, says what is wrong and what to do, never its value. */
export class SettingsError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`the settings cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.name = 'SettingsError';
    this.faults = faults;
  }
}

/** One row of the settings table. `shown` is the default as the documentation prints it. */
interface Setting<T> {
  readonly name: string;
  readonly shown: string;
  readonly about: string;
  readonly isSecret: boolean;
  readonly parse: value.SettingParser<T>;
  readonly fallback: (production: boolean) => T;
}

/** The documented default is parsed like any other value, so what is printed is what happens. */
function setting<T>(
  name: string,
  standard: string,
  about: string,
  parse: value.SettingParser<T>,
): Setting<T> {
  return { name, shown: `\`${standard}\``, about, isSecret: false, parse, fallback: () => parse(standard) };
}

function optional<T>(name: string, about: string, parse: value.SettingParser<T>): Setting<T | null> {
  return { name, shown: 'absent', about, isSecret: false, parse, fallback: () => null };
}

/** Also read from the file that `NAME_FILE` names. */
function secret(name: string, about: string, parse: value.SettingParser<Secret>): Setting<Secret | null> {
  return { ...optional(name, about, parse), isSecret: true };
}

const table: { readonly [K in keyof SettingValues]: Setting<SettingValues[K]> } = {
  databaseUrl: secret(
    'DATABASE_URL',
    'PostgreSQL, as `postgres://user:password@host/database`; `sslmode` and `sslrootcert` as in libpq. Without it ' +
      'an embedded PostgreSQL runs in `POSTERN_DATA_DIR`. Setting it is what this page calls production',
    value.databaseUrl,
  ),
  dataDir: setting(
    'POSTERN_DATA_DIR',
    '.postern',
    'Where the embedded database and its master key live',
    value.directory,
  ),
  migrate: setting(
    'POSTERN_MIGRATE',
    'auto',
    '`auto`: `serve` brings the schema up to date; `off`: it refuses to start on another schema',
    value.oneOf('auto', 'off'),
  ),
  grpcListen: setting(
    'POSTERN_GRPC_LISTEN',
    '127.0.0.1:50051',
    'Where gRPC calls are accepted: `HOST:PORT` (port 0: any free one), `[IPV6]:PORT` or `unix:PATH`',
    value.listenAddress,
  ),
  httpListen: setting(
    'POSTERN_HTTP_LISTEN',
    '127.0.0.1:8080',
    'Where the key set, health and metrics are served; written like `POSTERN_GRPC_LISTEN`',
    value.listenAddress,
  ),
  issuer: setting(
    'POSTERN_ISSUER',
    'http://127.0.0.1:8080',
    'The `iss` of every token, an http or https URL',
    value.issuer,
  ),
  audiences: setting(
    'POSTERN_AUDIENCE',
    'postern',
    'Who tokens are for, with commas between the names; the first is the default',
    value.audiences,
  ),
  algorithm: setting(
    'POSTERN_ALGORITHM',
    'ES256',
    'How tokens are signed: `ES256`, `RS256`, `EdDSA`, or `HS256` with `POSTERN_SECRET`',
    value.oneOf('ES256', 'RS256', 'EdDSA', 'HS256'),
  ),
  secret: secret(
    'POSTERN_SECRET',
    'The shared secret of `HS256`, at least 32 bytes, used as text and never decoded (`openssl rand -hex 32`)',
    value.sharedSecret,
  ),
  legacySecret: secret(
    'POSTERN_LEGACY_HS256_SECRET',
    'Also accept the `HS256` tokens that an earlier login signed with this secret',
    value.sharedSecret,
  ),
  legacyUntilMs: optional(
    'POSTERN_LEGACY_HS256_UNTIL',
    'When that ends: a date (its first instant in UTC) or a time such as `2027-01-31T12:00:00Z`',
    value.momentMs,
  ),
  masterKey: secret(
    'POSTERN_MASTER_KEY',
    '32 bytes in base64 (`openssl rand -base64 32`) that seal the keys in the database. Required in production; ' +
      'the embedded database makes its own',
    value.masterKey,
  ),
  masterKeyPrevious: secret(
    'POSTERN_MASTER_KEY_PREVIOUS',
    'The master key before this one, while keys are re-sealed',
    value.masterKey,
  ),
  accessTokenTtlSeconds: setting(
    'POSTERN_ACCESS_TOKEN_TTL',
    '10m',
    'How long an access token is good, `1s` to `24h`',
    value.seconds('1s', '24h'),
  ),
  keyRotationSeconds: setting(
    'POSTERN_KEY_ROTATION',
    '30d',
    'How long a signing key signs before the next takes over; not below `POSTERN_JWKS_MAX_AGE`',
    value.seconds('1s', '3650d'),
  ),
  jwksMaxAgeSeconds: setting(
    'POSTERN_JWKS_MAX_AGE',
    '10m',
    'How long others may cache the key set, and so how long a new key is published before it signs, `1s` to `24h`',
    value.seconds('1s', '24h'),
  ),
  tokenCacheBytes: setting(
    'POSTERN_TOKEN_CACHE',
    '64MiB',
    'Memory for tokens already verified; `0` turns it off',
    value.bytesUpTo('16GiB'),
  ),
  hashConcurrency: {
    ...setting('POSTERN_HASH_CONCURRENCY', '1', 'Passwords hashed at once, 1 to 256', value.count(1, 256)),
    shown: 'cores − 1, at least 1',
    fallback: () => Math.max(1, availableParallelism() - 1),
  },
  passwordMinLength: setting(
    'POSTERN_PASSWORD_MIN_LENGTH',
    '12',
    'Characters in a new password, 8 to 64',
    value.count(8, 64),
  ),
  reflection: {
    ...setting(
      'POSTERN_REFLECTION',
      'on',
      'Whether gRPC reflection tells callers the contract',
      value.toggle,
    ),
    shown: '`on`; in production `off`',
    fallback: (production: boolean) => !production,
  },
  insecure: setting(
    'POSTERN_INSECURE',
    'off',
    'Allow plaintext beyond this machine, when something in front encrypts',
    value.toggle,
  ),
  logLevel: setting(
    'POSTERN_LOG_LEVEL',
    'info',
    '`fatal`, `error`, `warn`, `info`, `debug`, `trace` or `silent`; from `debug` on, commands print stack traces',
    value.oneOf('fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'),
  ),
};

type Key = keyof SettingValues;
const keys = Object.keys(table) as Key[];

/**
 * Reads the environment into settings. An empty variable counts as absent, as compose files and libpq have it, but
 * with a warning, since it may be a substitution that failed. A secret may stand in the file that NAME_FILE names.
 * Throws `SettingsError` with every fault found, names that begin with POSTERN_ and mean nothing included.
 */
export function loadSettings(environment: Environment = process.env, options: LoadOptions = {}): Settings {
  const { for: purpose = 'serve', readFile = readTextFile, nowMs = Date.now() } = options;
  const faults = unknownNames(environment);
  const faulty = new Set<Key>();
  const read = <T>(key: Key, row: Setting<T>): T | undefined => {
    try {
      const text = textOf(row, environment, readFile);
      return text === null ? undefined : row.parse(text);
    } catch (error) {
      if (!(error instanceof value.WrongValue)) throw error;
      faults.push(`${row.name} ${error.message}`);
      faulty.add(key);
      return undefined;
    }
  };
  const databaseUrl = read('databaseUrl', table.databaseUrl);
  const production = databaseUrl !== undefined || faulty.has('databaseUrl');
  const values = Object.fromEntries(
    keys.map((key) => {
      const row: Setting<unknown> = table[key];
      return [key, (key === 'databaseUrl' ? databaseUrl : read(key, row)) ?? row.fallback(production)];
    }),
  ) as unknown as SettingValues;
  faults.push(...brokenSettingRules({ values, faulty, purpose, production, environment }));
  if (faults.length > 0) throw new SettingsError(faults);
  return finish(values, production, warningsAbout(values, production, environment, nowMs));
}

/** Whether a failing command should print where it failed; asked before the settings are known to be right. */
export function wantsStackTraces(environment: Environment = process.env): boolean {
  return /^(debug|trace)$/.test(environment[table.logLevel.name] ?? '');
}

/** The settings as a Markdown table, for the README. */
export function settingsTable(): string {
  const rows = Object.values(table).map(
    (row) =>
      `| \`${row.name}\`${row.isSecret ? ` or \`${row.name}_FILE\`` : ''} | ${row.shown} | ${row.about} |`,
  );
  return ['| name | default | meaning |', '|---|---|---|', ...rows, ''].join('\n');
}

function textOf(
  row: Setting<unknown>,
  environment: Environment,
  readFile: (path: string) => string,
): string | null {
  const text = environment[row.name] ?? '';
  const path = row.isSecret ? (environment[`${row.name}_FILE`] ?? '') : '';
  if (path === '') return text === '' ? null : text;
  if (text !== '') throw new value.WrongValue(`and ${row.name}_FILE are both set; remove one`);
  return fromFile(path, readFile);
}

/** The path is not repeated: it may be the secret itself, set under the wrong name. */
function fromFile(path: string, readFile: (path: string) => string): string {
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    throw new value.WrongValue(`cannot be read from its _FILE${code}; check the path and who may read it`);
  }
  const content = text.replace(/\r?\n$/, '');
  if (content === '') throw new value.WrongValue('is empty in its _FILE; write the secret into it');
  return content;
}

function readTextFile(path: string): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
}

/** A misspelt setting would silently leave its default in force, perhaps the weaker one. */
function unknownNames(environment: Environment): string[] {
  const known = Object.values(table).flatMap(({ name, isSecret }) =>
    isSecret ? [name, `${name}_FILE`] : [name],
  );
  return Object.keys(environment)
    .filter((name) => name.startsWith('POSTERN_') && !known.includes(name))
    .sort()
    .map((name) => {
      const nearest = nearestName(name, known);
      return `${name} is not a setting; ${nearest === null ? 'remove it' : `did you mean ${nearest}?`}`;
    });
}

function warningsAbout(
  values: SettingValues,
  production: boolean,
  environment: Environment,
  nowMs: number,
): string[] {
  const empty = Object.values(table)
    .flatMap(({ name, isSecret }) => (isSecret ? [name, `${name}_FILE`] : [name]))
    .filter((name) => environment[name] === '');
  const { legacyUntilMs } = values;
  return [
    ...empty.map((name) => `${name} is set but empty, and so taken as absent`),
    ...(legacyUntilMs !== null && legacyUntilMs <= nowMs
      ? [
          'POSTERN_LEGACY_HS256_UNTIL has passed: tokens of the legacy secret are refused, and both settings can go',
        ]
      : []),
    ...(production && values.issuer === table.issuer.fallback(production)
      ? ['POSTERN_ISSUER is still its default; give the service a URL of its own, which verifiers tell it by']
      : []),
  ];
}

function finish(values: SettingValues, production: boolean, warnings: readonly string[]): Settings {
  const { legacySecret, legacyUntilMs, ...rest } = values;
  const legacyDoor =
    legacySecret !== null && legacyUntilMs !== null ? { secret: legacySecret, untilMs: legacyUntilMs } : null;
  return Object.freeze({ ...rest, production, legacyDoor, warnings });
}
