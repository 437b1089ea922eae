import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';

import { afterAll, describe, expect, test } from '@jest/globals';

import { certificateFindings } from '../../src/cli/doctor/certificate-findings.ts';
import { channelCredentials } from '../../src/client/channel.ts';
import { loadSettings } from '../../src/config/load-settings.ts';
import { readMasterKeyFile } from '../../src/features/root-key/master-key-file.ts';
import { ServerTls } from '../../src/net/tls/server-tls.ts';
import { watchClientCertificate } from '../../src/net/tls/client-certificate-watch.ts';
import { createAuthority } from '../support/certificates.ts';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'postern-windows-'));
afterAll(() => rmSync(folder, { recursive: true }));
const authority = createAuthority('ours');
const issued = authority.issue({ validForMs: 10 * DAY_MS });

describe.each([
  [
    'by Notepad, with a byte order mark',
    (text: string) => Buffer.from(`\ufeff${text.replaceAll('\n', '\r\n')}`),
  ],
  ['by Windows PowerShell, in UTF-16', (text: string) => Buffer.from(`\ufeff${text}\r\n`, 'utf16le')],
])('files that were saved %s', (_, saved) => {
  const place = mkdtempSync(join(folder, 'files-'));
  const file = (name: string, text: string) => {
    writeFileSync(join(place, name), saved(text), { mode: 0o600 });
    return join(place, name);
  };
  const cert = file('tls.crt', issued.cert);
  const key = file('tls.key', issued.key);
  const ca = file('ca.crt', authority.cert);

  test('N09 are the certificates of a service', async () => {
    const environment = { POSTERN_TLS_CERT: cert, POSTERN_TLS_KEY: key, POSTERN_TLS_CLIENT_CA: ca };
    const settings = loadSettings({ ...environment, POSTERN_GRPC_LISTEN: '127.0.0.1:0' });
    const tls = await ServerTls.open({ cert, key, ca }, () => undefined);
    tls.stop();
    expect(() => createSecureContext(tls.context)).not.toThrow();
    expect(certificateFindings(settings).map(({ verdict }) => verdict)).not.toContain('fault');
  });

  test('N09 are the certificates of a client, whose expiry is watched', () => {
    const files = { caFile: ca, certFile: cert, keyFile: key };
    expect(() => channelCredentials({ address: 'auth.example:50051', tls: files })).not.toThrow();
    const warnings: number[] = [];
    watchClientCertificate(cert, (expiresAtMs) => warnings.push(expiresAtMs))();
    expect(warnings).toHaveLength(1);
  });

  test('hold the master key of a data directory', () => {
    const dataDir = mkdtempSync(join(folder, 'data-'));
    const masterKey = readMasterKeyFile(dataDir, true);
    writeFileSync(join(dataDir, 'master.key'), saved(readFileSync(join(dataDir, 'master.key'), 'utf8')));
    expect(readMasterKeyFile(dataDir, false)).toBe(masterKey);
  });
});
