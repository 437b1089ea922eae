import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';
import { Command } from 'commander';

import { commands } from '../src/cli/commands.ts';
import { findingDocument } from '../src/cli/doctor/finding.ts';
import { exitCodes } from '../src/cli/exit-codes.ts';
import * as client from '../src/client/postern-client.ts';
import { settingRows } from '../src/config/settings-table.ts';
import { auditActions } from '../src/domain/audit-event.ts';
import { Reason } from '../src/generated/postern/v1/reason.ts';
import { metricDefinitions } from '../src/observability/metrics/definitions.ts';

/**
 * Names that other programs depend on (docs/compatibility.md). Each list may grow, at its end or where it
 * belongs; a removed or renamed name breaks a program.
 */
const REASONS: Readonly<Record<string, number>> = {
  REASON_UNSPECIFIED: 0,
  INVALID_CREDENTIALS: 1,
  CREDENTIALS_MISSING: 2,
  RESET_TOKEN_INVALID: 3,
  TOKEN_MALFORMED: 4,
  TOKEN_TOO_LARGE: 5,
  TOKEN_ALG_NOT_ALLOWED: 6,
  TOKEN_KEY_UNKNOWN: 7,
  TOKEN_SIGNATURE_INVALID: 8,
  TOKEN_TYPE_INVALID: 9,
  TOKEN_CLAIMS_INVALID: 10,
  TOKEN_EXPIRED: 11,
  TOKEN_NOT_YET_VALID: 12,
  TOKEN_REVOKED: 13,
  REFRESH_TOKEN_INVALID: 14,
  REFRESH_TOKEN_EXPIRED: 15,
  REFRESH_TOKEN_REUSED: 16,
  REFRESH_TOKEN_REVOKED: 17,
  ADMIN_REQUIRED: 18,
  SERVICE_REQUIRED: 19,
  LOGIN_RATE_LIMITED: 20,
  STORE_UNAVAILABLE: 21,
  SERVER_OVERLOADED: 22,
  TRUST_STALE: 23,
  SHUTTING_DOWN: 24,
  FIELD_INVALID: 25,
  PASSWORD_POLICY: 26,
  EMAIL_TAKEN: 27,
  NAME_TAKEN: 28,
  RESOURCE_NOT_FOUND: 29,
  LAST_ADMIN: 30,
  CONFLICT: 31,
  NO_SIGNING_KEYS: 32,
  ROLE_MISSING: 33,
  MESSAGE_TOO_LARGE: 34,
  METADATA_TOO_LARGE: 35,
  READER_TOO_SLOW: 36,
  REFRESH_RATE_LIMITED: 48,
  STREAM_LIMIT_REACHED: 49,
  STREAM_IDLE: 50,
  ID_TAKEN: 51,
  EXTERNAL_ID_TAKEN: 52,
  CLAIMS_TOO_LONG: 53,
  TOKEN_REPLAYED: 54,
  ACTOR_NOT_ALLOWED: 59,
  UNRECOGNIZED: -1,
};

const METRICS = [
  'postern_telemetry_export_failures_total{signal}',
  'postern_rpc_calls_total{method,code}',
  'postern_rpc_refusals_total{method,reason}',
  'postern_rpc_duration_seconds{method}',
  'postern_rpc_streams{kind}',
  'postern_connections_closed_total{listener}',
  'postern_handshakes_failed_total{listener,reason}',
  'postern_connections_retired_total',
  'postern_logins_total{outcome}',
  'postern_refreshes_total{outcome}',
  'postern_revocations_total{kind}',
  'postern_revocations_live',
  'postern_revocation_delay_seconds',
  'postern_trust_age_seconds',
  'postern_trust_state{state}',
  'postern_trust_watchers',
  'postern_upstream_connected',
  'postern_token_cache_hits_total',
  'postern_token_cache_misses_total',
  'postern_token_cache_entries',
  'postern_token_cache_bytes',
  'postern_hash_running',
  'postern_hash_queued',
  'postern_hash_refused_total',
  'postern_hash_average_seconds',
  'postern_db_pool{pool,state}',
  'postern_db_pool_max{pool}',
  'postern_db_reachable',
  'postern_db_circuit_open',
  'postern_clock_offset_seconds',
  'postern_signing_keys{state}',
  'postern_signing_keys_refused',
  'postern_signing_key_age_seconds',
  'postern_signing_key_rotation_seconds',
  'postern_signing_key_steps_total{step}',
  'postern_purged_rows_total',
  'postern_tls_certificate_expiry_timestamp_seconds',
  'postern_log_lines_lost_total',
  'postern_event_loop_lag_seconds',
  'postern_event_loop_busy_seconds_total',
  'process_cpu_seconds_total',
  'process_resident_memory_bytes',
  'process_start_time_seconds',
  'nodejs_heap_size_used_bytes',
  'nodejs_external_memory_bytes',
];

const SETTINGS = [
  'DATABASE_URL',
  'POSTERN_DATA_DIR',
  'POSTERN_MIGRATE',
  'POSTERN_GRPC_LISTEN',
  'POSTERN_HTTP_LISTEN',
  'POSTERN_ISSUER',
  'POSTERN_AUDIENCE',
  'POSTERN_API_AUDIENCE',
  'POSTERN_ALGORITHM',
  'POSTERN_SECRET',
  'POSTERN_LEGACY_HS256_SECRET',
  'POSTERN_LEGACY_HS256_UNTIL',
  'POSTERN_LEGACY_HS256_SUBJECT',
  'POSTERN_LEGACY_HS256_ISSUER',
  'POSTERN_LEGACY_HS256_AUDIENCE',
  'POSTERN_MASTER_KEY',
  'POSTERN_MASTER_KEY_PREVIOUS',
  'POSTERN_ACCESS_TOKEN_TTL',
  'POSTERN_REFRESH_TOKEN_TTL',
  'POSTERN_REFRESH_IDLE',
  'POSTERN_REFRESH_GRACE',
  'POSTERN_SESSIONS_PER_USER',
  'POSTERN_KEY_ROTATION',
  'POSTERN_JWKS_MAX_AGE',
  'POSTERN_MAX_STALENESS',
  'POSTERN_TOKEN_CACHE',
  'POSTERN_HASH_CONCURRENCY',
  'POSTERN_PASSWORD_MIN_LENGTH',
  'POSTERN_TRUSTED_PROXIES',
  'POSTERN_ISSUER_NETWORKS',
  'POSTERN_MAX_CONNECTIONS',
  'POSTERN_SHUTDOWN_DELAY',
  'POSTERN_REFLECTION',
  'POSTERN_OAUTH',
  'POSTERN_PASSWORD_DOOR',
  'POSTERN_CLIENT_ID',
  'POSTERN_CLIENT_SECRET',
  'POSTERN_TLS_CERT',
  'POSTERN_TLS_KEY',
  'POSTERN_TLS_CLIENT_CA',
  'POSTERN_TLS_SERVICE_IDENTITIES',
  'POSTERN_TLS_ADMIN_IDENTITIES',
  'POSTERN_UPSTREAM_CA',
  'POSTERN_UPSTREAM_CERT',
  'POSTERN_UPSTREAM_KEY',
  'POSTERN_INSECURE',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'POSTERN_LOG_LEVEL',
];

/** Commands with their flags. */
const COMMANDS = [
  'serve',
  'sidecar | --upstream <address>',
  'migrate | --grant-to <role> | --json',
  'user create | --email <address> | --password-stdin | --role <name> | --id <uuid> | --external-id <text> | --json',
  'user list | --json',
  'user disable | --email <address> | --external-id <text> | --json',
  'user enable | --email <address> | --external-id <text> | --json',
  'user set-role | --email <address> | --external-id <text> | --role <name> | --none | --json',
  'user set-email | --email <address> | --external-id <text> | --to <address> | --json',
  'user delete | --email <address> | --external-id <text> | --json',
  'user import | --format <name> | --dry-run | --allow-admin | --json',
  'user reset-password | --email <address> | --external-id <text> | --json',
  'session list | --email <address> | --external-id <text> | --all | --json',
  'session revoke | --email <address> | --external-id <text> | --json',
  'session end-all | --after-restore | --json',
  'service create | --role <name> | --json',
  'service list | --json',
  'service delete | --json',
  'service rotate | --now | --overlap <duration> | --json',
  'service key add | --json',
  'service key list | --json',
  'service key delete | --json',
  'service bind | --issuer <issuer> | --claim <path=value> | --certificate <name> | --role <name> | --json',
  'service bindings | --json',
  'service unbind | --json',
  'issuer add | --kind <kind> | --jwks <file> | --jwks-url <url> | --ca <file> | --bearer-file <path> | --audience <name> | --algorithm <name> | --max-age <duration> | --once | --json',
  'issuer list | --json',
  'issuer set-keys | --jwks <file> | --jwks-url <url> | --ca <file> | --bearer-file <path> | --json',
  'issuer disable | --json',
  'issuer enable | --json',
  'issuer delete | --json',
  'key list | --json',
  'key rotate | --now | --json',
  'key revoke | --json',
  'key rewrap | --json',
  'audit list | --actor <id> | --target <id> | --action <name> | --outcome <word> | --since <time> | --until <time> | --before <id> | --limit <count> | --json',
  'doctor | --upstream <address> | --json',
  'token inspect | --file <path> | --jwks <file|url> | --insecure | --secret-file <path> | --secret-stdin | --issuer <text> | --audience <name> | --json | --legacy | --subject <claims>',
  'token explain-exchange | --file <path> | --json',
];

const EXIT_CODES = {
  ok: 0,
  unexpected: 1,
  wrongUse: 2,
  settings: 3,
  unavailable: 4,
  refused: 5,
  tokenRefused: 6,
  interrupted: 130,
};

const AUDIT_ACTIONS = [
  'login',
  'token.refresh',
  'token.reuse',
  'token.revoke',
  'service.token',
  'password.change',
  'password.reset',
  'password.reset.create',
  'user.create',
  'user.update',
  'user.disable',
  'user.enable',
  'user.delete',
  'user.import',
  'user.import.batch',
  'user.read',
  'session.read',
  'session.revoke',
  'service.create',
  'service.read',
  'service.delete',
  'service.rotate',
  'key.read',
  'key.rotate',
  'key.revoke',
  'audit.read',
  'trust.watch',
  'service.key.add',
  'service.key.delete',
  'overview.read',
];

const CLIENT_EXPORTS = [
  'PosternError',
  'ServiceCredential',
  'authInterceptor',
  'authenticateRequest',
  'bearerInterceptor',
  'callerOf',
  'createAuthClient',
  'createUserSession',
  'createVerifier',
  'requireToken',
  'requireTokenHook',
  'serviceCredential',
];

/** Log events, by the text that each line has as its message. */
const LOG_EVENTS = [
  'call',
  'calls-left-out',
  'certificate-expiring',
  'certificate-reloaded',
  'client-not-believed',
  'clock-agrees',
  'clock-differs',
  'console',
  'database',
  'grpc',
  'migrated',
  'node',
  'purge-failed',
  'purged-expired',
  'refusal-not-audited',
  'runtime',
  'settings',
  'signing-key-not-made',
  'signing-key-refused',
  'signing-keys',
  'sizes',
  'stopped',
  'stopping',
  'stored-password-unreadable',
  'unheard-refusal',
  'upstream-connected',
  'upstream-lost',
  'upstream-unusable',
];

const src = fileURLToPath(new URL('../src', import.meta.url));
const sources = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.startsWith('generated'))
  .map((path) => readFileSync(join(src, path), 'utf8'))
  .join('\n');

test('reasons keep their names and numbers', () => {
  expect(Reason).toMatchObject(REASONS);
});

test('metrics keep their names and labels', () => {
  const now = Object.values(metricDefinitions).map(({ name, labels }) =>
    labels.length === 0 ? name : `${name}{${labels.join(',')}}`,
  );
  expect(now).toEqual(expect.arrayContaining(METRICS));
});

test('settings keep their names', () => {
  expect(Object.values(settingRows).map(({ name }) => name)).toEqual(expect.arrayContaining(SETTINGS));
});

test('commands keep their words and flags', async () => {
  const now = new Map<string, string[]>();
  for (const { path, load } of commands) {
    const command = new Command(path.at(-1));
    (await load())(command);
    now.set(
      path.join(' '),
      command.options.map(({ flags }) => flags),
    );
  }
  for (const line of COMMANDS) {
    const [words = '', ...flags] = line.split(' | ');
    expect([words, now.get(words)]).toEqual([words, expect.arrayContaining(flags)]);
  }
});

test('exit codes keep their meaning', () => {
  expect(exitCodes).toMatchObject(EXIT_CODES);
});

test('the audit trail keeps the names of its actions', () => {
  expect(auditActions).toEqual(expect.arrayContaining(AUDIT_ACTIONS));
});

test('postern/client keeps its exports', () => {
  expect(Object.keys(client)).toEqual(expect.arrayContaining(CLIENT_EXPORTS));
});

test.each(LOG_EVENTS)('the log keeps the event %s', (event) => {
  expect(sources).toContain(`'${event}'`);
});

test('doctor --json keeps its members', () => {
  const document = findingDocument({ check: 'keys', verdict: 'ok', message: 'a', advice: 'b' });
  expect(Object.keys(document)).toEqual(['about', 'verdict', 'says', 'advice']);
});
