import { parseDatabaseUrl } from '../net/database-url.ts';
import { groupId } from '../net/unix-socket.ts';
import { listenAddresses } from './listen-addresses.ts';
import type { MachineLimits } from './machine-limits.ts';
import { neededBytes, sizesFor, sizeText } from './sizing.ts';
import { settingRows } from './settings-table.ts';
import type { Environment, LegacyHs256, SettingsPurpose, SettingValues } from './setting-values.ts';

/** What is set is used, even if it does not fit. */
export function warningsAboutMemory(
  values: SettingValues,
  production: boolean,
  machine: MachineLimits,
): string[] {
  const { memoryBytes } = machine;
  if (neededBytes(values, production) <= memoryBytes) return [];
  const defaults = sizesFor(machine, production);
  const defaultBytes = neededBytes(defaults, production);
  if (defaultBytes > memoryBytes) {
    return [
      `this process may use ${sizeText(memoryBytes)} of memory, and Postern needs at least ${sizeText(defaultBytes)}, so that the ` +
        'system may end it; raise the limit',
    ];
  }
  return [
    'POSTERN_HASH_CONCURRENCY and POSTERN_TOKEN_CACHE need more memory than there is, so that logins could end the process; ' +
      `use at most ${defaults.hashConcurrency} and ${sizeText(defaults.tokenCacheBytes)}, the defaults for this memory`,
  ];
}

/** Only for the purposes that listen: another command may run on a machine without the group. */
export function socketGroupFaults({ socketGroup }: SettingValues, purpose: SettingsPurpose): string[] {
  if (socketGroup === null || !listens(purpose) || groupId(socketGroup) !== null) return [];
  return [
    'POSTERN_SOCKET_GROUP names no group in /etc/group; create the group, or write the number of one that another service ' +
      'manages (getent group NAME)',
  ];
}

export function listens(purpose: SettingsPurpose): boolean {
  return purpose === 'serve' || purpose === 'sidecar';
}

export function warningsAboutSockets(values: SettingValues, purpose: SettingsPurpose): string[] {
  const { socketMode, socketGroup } = values;
  const isUsed = listenAddresses(values).some(({ address }) => address.kind === 'unix');
  if (isUsed || !listens(purpose) || (socketMode === null && socketGroup === null)) return [];
  return ['POSTERN_SOCKET_MODE and POSTERN_SOCKET_GROUP have no effect, because no listener is unix:PATH'];
}

export function warningsAboutTls({ tlsCert, issuer }: SettingValues, purpose: SettingsPurpose): string[] {
  if (tlsCert === null || purpose !== 'serve' || !/^http:/i.test(issuer)) return [];
  return [
    'POSTERN_ISSUER begins with http: although the listeners use TLS; verifiers would look for the keys at that URL, so use https:',
  ];
}

/** As in libpq, a file with authorities verifies nothing in the modes that also connect without TLS. */
export function warningsAboutDatabase({ databaseUrl }: SettingValues, purpose: SettingsPurpose): string[] {
  if (databaseUrl === null || purpose !== 'serve') return [];
  const { mode, rootCert } = parseDatabaseUrl(databaseUrl.reveal()).tls;
  if (rootCert === undefined || !/^(disable|allow|prefer)$/.test(mode)) return [];
  return [
    `DATABASE_URL has sslrootcert, but with sslmode=${mode} a server without a certificate is used as well; set sslmode=verify-full`,
  ];
}

export function warningsAboutLegacy(
  legacyHs256: LegacyHs256 | null,
  purpose: SettingsPurpose,
  nowMs: number,
): string[] {
  if (legacyHs256 === null) return [];
  if (purpose === 'sidecar') {
    return [
      'POSTERN_LEGACY_HS256_SECRET has no effect in a sidecar: only the service accepts tokens of the earlier login; remove it here',
    ];
  }
  if (legacyHs256.untilMs > nowMs) return [];
  return [
    'POSTERN_LEGACY_HS256_UNTIL has passed: tokens of POSTERN_LEGACY_HS256_SECRET are refused; remove every POSTERN_LEGACY_HS256 setting',
  ];
}

/** Only for `serve`: a sidecar gets the issuer from its upstream, and commands issue no tokens. */
export function warningsAboutIssuer(
  environment: Environment,
  { httpListen }: Pick<SettingValues, 'httpListen'>,
  production: boolean,
  purpose: SettingsPurpose,
): string[] {
  if (purpose !== 'serve' || (environment[settingRows.issuer.name] ?? '') !== '') return [];
  if (!production) {
    if (httpListen.kind !== 'tcp' || httpListen.port !== 0) return [];
    return [
      'POSTERN_HTTP_LISTEN has port 0, so the jwks_uri of the discovery document leads nowhere; use a fixed port, or set POSTERN_ISSUER',
    ];
  }
  return [
    'POSTERN_ISSUER is not set: set it to a URL of this service, so that verifiers can tell its tokens from those of others',
  ];
}
