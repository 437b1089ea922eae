import { readFileSync, statSync } from 'node:fs';
import { nearestName } from '../domain/did-you-mean.ts';
import { decodeText, withoutFinalLineEnds } from '../domain/decode-text.ts';
import { requireTrustedPath, UntrustedPath } from '../domain/trusted-path.ts';
import { machineLimits, type MachineLimits } from './machine-limits.ts';
import { describeSizes, sizesFor } from './sizing.ts';
import {
  listens,
  socketGroupFaults,
  warningsAboutDatabase,
  warningsAboutIssuer,
  warningsAboutLegacy,
  warningsAboutMemory,
  warningsAboutSockets,
  warningsAboutTls,
} from './setting-warnings.ts';
import { brokenSettingRules } from './setting-rules.ts';
import type { Environment, LegacyHs256, SettingsPurpose, SettingValues } from './setting-values.ts';
import { InvalidSetting, withDatabaseUrlFaults } from './setting-parsers.ts';
import { certificateFileFaults } from './certificate-file-faults.ts';
import { servesConsole } from './http-settings.ts';
import { databaseFileFaults } from './database-file-faults.ts';
import { withLibpqVariables } from '../net/database-url.ts';
import type { ListenAddress } from '../net/listen-address.ts';
import { groupId, type SocketAccess } from '../net/unix-socket.ts';
import type { PasskeySettings } from '../domain/relying-party.ts';
import { passkeySettingsOf } from './passkey-origins.ts';
import type { Setting } from './setting-row.ts';
import { settingRows } from './settings-table.ts';
import { readTelemetry, type TelemetrySettings } from './telemetry/telemetry-settings.ts';

export type { Environment, SettingsPurpose } from './setting-values.ts';

type LegacyKey =
  'legacySecret' | 'legacyUntilMs' | 'legacySubjectClaims' | 'legacyIssuers' | 'legacyAudiences';

type DerivedKey = 'console' | 'socketMode' | 'socketGroup' | 'passkeyOrigins' | 'passkeyRpId';

/** All settings, parsed and checked. */
export interface Settings extends Omit<SettingValues, LegacyKey | DerivedKey> {
  /** Whether DATABASE_URL is set. */
  readonly production: boolean;
  readonly legacyHs256: LegacyHs256 | null;
  /** Whether the console is served. */
  readonly console: boolean;
  /** What OpenTelemetry sends; null for nothing. */
  readonly telemetry: TelemetrySettings | null;
  /** Where passkeys are used, or why nowhere. */
  readonly passkeys: PasskeySettings;
  /** Who may connect to the sockets of `unix:PATH` listeners. */
  readonly socketAccess: SocketAccess;
  /** One line for each setting that is valid but probably a mistake. The command prints them at start. */
  readonly warnings: readonly string[];
  /** One line that says which sizes are used, and from which limits they were chosen. */
  readonly sizing: string;
}

export interface LoadOptions {
  /** `serve` when left out. */
  readonly for?: SettingsPurpose;
  /** Returns a file's text, or throws. */
  readonly readFile?: (path: string) => string;
  readonly nowMs?: number;
  readonly machine?: MachineLimits;
}

/**
 * All faults of the settings. Each line names a setting and says what is wrong and what to do. It never contains the
 * value.
 */
export class SettingsError extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`the settings cannot be used:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.name = 'SettingsError';
    this.faults = faults;
  }
}

type Key = keyof SettingValues;
type ReadFile = (path: string) => string;

/**
 * Reads the environment into settings. An empty variable counts as absent, as in compose files and libpq, but causes a
 * warning, because it may be a failed substitution. A secret can be in the file that NAME_FILE names.
 *
 * @throws SettingsError with every fault found, including unknown names that begin with POSTERN_
 */
export function loadSettings(variables: Environment = process.env, options: LoadOptions = {}): Settings {
  const {
    for: purpose = 'serve',
    readFile = readTextFile,
    nowMs = Date.now(),
    machine = machineLimits(),
  } = options;
  const environment = withoutLineEnds(variables);
  const { provided, faults } = parseEach(environment, readFile);
  const faulty = new Set(faults.keys());
  // An invalid DATABASE_URL still means production mode, so the rules of production are checked as well.
  const production = provided.has('databaseUrl') || faulty.has('databaseUrl');
  const httpPort = fixedLocalPort(provided.get('httpListen') as ListenAddress | undefined);
  const context = { purpose, production, sizes: sizesFor(machine, production), httpPort };
  const values = Object.fromEntries(
    rowsByKey.map(([key, row]) => [key, provided.has(key) ? provided.get(key) : row.fallback(context)]),
  ) as unknown as SettingValues;
  const otel = readTelemetry(environment, purpose, (path) => readFile(path));
  const lines = [
    ...faults.values(),
    ...otel.faults.filter((line) => !line.startsWith(`${settingRows.otlpEndpoint.name} `)),
    ...brokenSettingRules({ values, faulty, purpose, production, environment }).map((line) =>
      nameVariablesAsSet(line, environment),
    ),
    ...unknownNames(environment),
    ...certificateFileFaults(values, faulty, purpose, readFile),
    ...socketGroupFaults(values, purpose),
    ...databaseFileFaults(purpose === 'sidecar' ? null : values.databaseUrl, (path) => readFile(path)).map(
      (line) => nameVariablesAsSet(line, environment),
    ),
  ];
  if (lines.length > 0) throw new SettingsError(lines);

  const { legacySecret, legacyUntilMs, legacySubjectClaims, legacyIssuers, legacyAudiences, ...others } =
    values;
  const { socketMode, socketGroup, passkeyOrigins, passkeyRpId, ...rest } = others;
  const claims = {
    subjectClaims: legacySubjectClaims,
    issuers: legacyIssuers,
    audiences: legacyAudiences,
  };
  const legacyHs256 =
    legacySecret !== null && legacyUntilMs !== null
      ? { secret: legacySecret, untilMs: legacyUntilMs, claims }
      : null;
  const warnings = [
    ...warningsAbout(environment),
    ...warningsAboutDatabase(values, purpose),
    ...warningsAboutLegacy(legacyHs256, purpose, nowMs),
    ...warningsAboutIssuer(environment, values, production, purpose),
    ...warningsAboutTls(values, purpose),
    ...warningsAboutSockets(values, purpose),
    ...(purpose === 'serve' ? warningsAboutMemory(values, production, machine) : []),
    ...(listens(purpose) ? otel.warnings : []),
  ];
  const socketAccess = {
    mode: socketMode ?? (socketGroup === null ? 0o600 : 0o660),
    group: socketGroup === null ? null : groupId(socketGroup),
  };
  const passkeys = passkeySettingsOf({ issuer: values.issuer, passkeyOrigins, passkeyRpId });
  const sizing = describeSizes(values, machine, (size) => provided.has(size));
  return Object.freeze({
    ...rest,
    production,
    legacyHs256,
    console: purpose !== 'sidecar' && servesConsole(values, production),
    passkeys,
    telemetry: otel.telemetry,
    socketAccess,
    warnings,
    sizing,
  });
}

/** Who ran the command with sudo, as sudo says; null without it. */
export function sudoUserOf(environment: Environment = process.env): string | null {
  const name = environment['SUDO_USER'];
  return name === undefined || name === '' ? null : name;
}

/** Whether a failing command prints a stack trace. Works when the settings are invalid. */
export function wantsStackTraces(environment: Environment = process.env): boolean {
  return /^(debug|trace)$/.test(environment[settingRows.logLevel.name] ?? '');
}

/** The settings as a Markdown table, for docs/settings.md. */
export function settingsTable(): string {
  const lines = rowsByKey.map(
    ([, row]) =>
      `| ${namesOf(row)
        .map((name) => `\`${name}\``)
        .join(' or ')} | ${row.displayedDefault} | ${row.description} |`,
  );
  return ['| name | default | meaning |', '|---|---|---|', ...lines, ''].join('\n');
}

const rowsByKey = Object.entries(settingRows) as [Key, Setting<unknown>][];
const knownNames = rowsByKey.flatMap(([, row]) => namesOf(row));

function namesOf(row: Setting<unknown>): string[] {
  return row.isSecret ? [row.name, `${row.name}_FILE`] : [row.name];
}

/**
 * `docker --env-file` and others keep the carriage returns of a file from Windows, which must not become part of a path or
 * a name. A shared secret may have had them from the beginning, so there they stay, with a warning.
 */
function withoutLineEnds(variables: Environment): Environment {
  const shared: readonly string[] = [settingRows.secret.name, settingRows.legacySecret.name];
  return Object.fromEntries(
    Object.entries(variables).map(([name, text]) => {
      const plain = text && withoutFinalLineEnds(text);
      return [name, plain && shared.includes(name) ? text : plain];
    }),
  );
}

function parseEach(
  environment: Environment,
  readFile: ReadFile,
): { provided: Map<Key, unknown>; faults: Map<Key, string> } {
  const provided = new Map<Key, unknown>();
  const faults = new Map<Key, string>();
  for (const [key, row] of rowsByKey) {
    try {
      const text = textOf(row, environment, readFile);
      if (text !== null) provided.set(key, parsed(row, completed(key, text, environment), environment));
    } catch (error) {
      if (!(error instanceof InvalidSetting)) throw error;
      faults.set(key, `${comesFromFile(row, environment) ? `${row.name}_FILE` : row.name} ${error.message}`);
    }
  }
  return { provided, faults };
}

function parsed(row: Setting<unknown>, text: string, environment: Environment): unknown {
  try {
    return row.parse(text);
  } catch (error) {
    if (!(error instanceof InvalidSetting) || !comesFromFile(row, environment)) throw error;
    throw new InvalidSetting(`names a file whose text ${error.message}`);
  }
}

/** As for libpq, `PGSSLMODE` and other variables say what the URL does not say. */
function completed(key: Key, text: string, environment: Environment): string {
  return key === 'databaseUrl' ? withDatabaseUrlFaults(() => withLibpqVariables(text, environment)) : text;
}

/** Whether only NAME_FILE is set. A fault must name the variable that is set. */
function comesFromFile(row: Setting<unknown>, environment: Environment): boolean {
  return (
    row.isSecret && (environment[`${row.name}_FILE`] ?? '') !== '' && (environment[row.name] ?? '') === ''
  );
}

/** The message of a rule names a setting as NAME. Where only NAME_FILE is set, the message must say NAME_FILE. */
function nameVariablesAsSet(line: string, environment: Environment): string {
  return rowsByKey
    .filter(([, row]) => comesFromFile(row, environment))
    .reduce(
      (renamed, [, { name }]) => renamed.replaceAll(new RegExp(`\\b${name}\\b`, 'g'), `${name}_FILE`),
      line,
    );
}

function textOf(row: Setting<unknown>, environment: Environment, readFile: ReadFile): string | null {
  const text = environment[row.name] ?? '';
  const path = row.isSecret ? (environment[`${row.name}_FILE`] ?? '') : '';
  if (path === '') return text === '' ? null : text;
  if (text !== '') throw new InvalidSetting(`and ${row.name}_FILE are both set; remove one`);
  return textOfFile(path, readFile);
}

/** The fault does not contain the path, because the path may be the secret itself, set under the wrong name. */
function textOfFile(path: string, readFile: ReadFile): string {
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    if (error instanceof UntrustedPath)
      throw new InvalidSetting(`names a file that other users can change: ${error.message}`);
    const { code = 'not text' } = error as NodeJS.ErrnoException;
    throw new InvalidSetting(
      `names a file that cannot be read (${code}); check the path and the file's permissions`,
    );
  }
  const content = withoutFinalLineEnds(text);
  if (content === '') throw new InvalidSetting('names an empty file; write the secret into it');
  return content;
}

function readTextFile(path: string): string {
  // A pipe (such as /dev/fd/3) was opened by the user who started the process; other users cannot replace it.
  if (statSync(path).isFile()) requireTrustedPath(path, 'root');
  return decodeText(readFileSync(path));
}

/** The port by which a listener is reached at 127.0.0.1; null where it is not, or where the system chooses the port. */
function fixedLocalPort(address: ListenAddress | undefined): number | null {
  if (address?.kind !== 'tcp' || address.port === 0) return null;
  return ['127.0.0.1', 'localhost', '0.0.0.0', '::'].includes(address.host) ? address.port : null;
}

/** A misspelt name is a fault: the setting would silently keep its default, which may be less secure. */
function unknownNames(environment: Environment): string[] {
  return Object.keys(environment)
    .filter((name) => name.startsWith('POSTERN_') && !knownNames.includes(name))
    .filter((name) => !isServiceLink(name, environment[name] ?? ''))
    .sort()
    .map((name) => {
      const nearest = nearestName(name, knownNames);
      return `${name} is not a setting; ${nearest === null ? 'remove it' : `did you mean ${nearest}?`}`;
    });
}

/**
 * Kubernetes sets variables of these forms in every pod when a Service is called `postern`. If they counted as faults,
 * Postern could not start in a namespace where its Service is called `postern`.
 */
function isServiceLink(name: string, text: string): boolean {
  if (/_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name))
    return true;
  return name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(text);
}

function warningsAbout(environment: Environment): string[] {
  const namesWith = (pattern: RegExp) => knownNames.filter((name) => pattern.test(environment[name] ?? '-'));
  return [
    ...namesWith(/^$/).map((name) => `${name} is set but empty, and counts as absent`),
    ...namesWith(/[\r\n]$/).map((name) => `${name} ends with a line end, which is a part of the secret`),
  ];
}
