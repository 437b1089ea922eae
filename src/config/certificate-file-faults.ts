import { certificateFaults } from '../net/tls/certificate-files.ts';
import { readFault } from './database-file-faults.ts';
import { listens } from './setting-warnings.ts';
import { settingRows } from './settings-table.ts';
import type { SettingsPurpose, SettingValues } from './setting-values.ts';

type PathKey = 'tlsCert' | 'tlsKey' | 'tlsClientCa' | 'upstreamCert' | 'upstreamKey' | 'upstreamCa';
type EndpointFiles = Readonly<Record<'cert' | 'key' | 'ca', PathKey>>;

const LISTENER_FILES: EndpointFiles = { cert: 'tlsCert', key: 'tlsKey', ca: 'tlsClientCa' };
const UPSTREAM_FILES: EndpointFiles = { cert: 'upstreamCert', key: 'upstreamKey', ca: 'upstreamCa' };

/**
 * Why the TLS files of the listeners and of the upstream cannot be used. Only for the purposes that use the files: another
 * command may run as a user who must not read the private key.
 */
export function certificateFileFaults(
  values: SettingValues,
  faulty: ReadonlySet<keyof SettingValues>,
  purpose: SettingsPurpose,
  readFile: (path: string) => string,
): string[] {
  if (!listens(purpose)) return [];
  const endpoints = purpose === 'sidecar' ? [LISTENER_FILES, UPSTREAM_FILES] : [LISTENER_FILES];
  return endpoints.flatMap(({ cert, key, ca }) => {
    const faults: string[] = [];
    const textIn = (setting: PathKey) => {
      const path = values[setting];
      if (path === null || faulty.has(setting) || isSystemCa(setting, path)) return null;
      try {
        return readFile(path);
      } catch (error) {
        faults.push(`${settingRows[setting].name} ${readFault(error)}`);
        return null;
      }
    };
    const files = { cert: textIn(cert), key: textIn(key), ca: textIn(ca) };
    const names = { cert: settingRows[cert].name, key: settingRows[key].name, ca: settingRows[ca].name };
    return [...faults, ...certificateFaults(files, names)];
  });
}

function isSystemCa(setting: PathKey, path: string): boolean {
  return setting === 'upstreamCa' && path === 'system';
}
