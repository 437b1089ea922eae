import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';

import { loadSettings, SettingsError } from '../../src/config/load-settings.ts';
import { dataDirectoryFault, prepareDataDirectory } from '../../src/database/embedded/data-directory.ts';
import { readMasterKeyFile } from '../../src/features/root-key/master-key-file.ts';
import { ServerTls } from '../../src/net/tls/server-tls.ts';
import { createAuthority, writeIssued } from '../support/certificates.ts';
import { runPostern } from '../support/run-postern.ts';

/** The id of an unprivileged user; it needs no account. */
const OTHER_USER_ID = 4_711;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'postern-root-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

// Only root can create these files, and the checks apply to root alone.
const describeAsRoot = process.getuid?.() === 0 ? describe : describe.skip;

/** The ways in which others can write a file or folder of root's, and the message for each. */
const insecureFiles: readonly (readonly [name: string, open: (path: string) => void, says: RegExp])[] = [
  ['belongs to another user', (path) => chownSync(path, OTHER_USER_ID, 0), /belongs to user 4711/],
  ['is writable by everybody', (path) => chmodSync(path, 0o757), /is writable by everybody/],
  [
    'is writable by a group',
    (path) => {
      chownSync(path, 0, OTHER_USER_ID);
      chmodSync(path, 0o770);
    },
    /is writable by group 4711/,
  ],
];
const folderAt = (path: string) => {
  mkdirSync(path);
  return path;
};

describeAsRoot('D21 as root, a data directory', () => {
  test.each(insecureFiles)('that %s is refused, and nothing is created in it', (_name, open, says) => {
    const dataDir = folderAt(join(folder, 'data'));
    open(dataDir);
    expect(() => prepareDataDirectory(dataDir)).toThrow(says);
    expect(() => readMasterKeyFile(dataDir, true)).toThrow(says);
    expect(String(dataDirectoryFault(dataDir))).toMatch(says);
    expect(() => readFileSync(join(dataDir, 'master.key'))).toThrow('ENOENT');
  });

  test('below a folder that is writable by everybody is refused', () => {
    const dataDir = join(folderAt(join(folder, 'above')), 'data');
    mkdirSync(dataDir);
    chmodSync(join(folder, 'above'), 0o777);
    expect(() => prepareDataDirectory(dataDir)).toThrow(/above is writable by everybody/);
    // With the sticky bit, as in /tmp, others cannot remove it.
    chmodSync(join(folder, 'above'), 0o1777);
    expect(prepareDataDirectory(dataDir).root).toBe(dataDir);
  });

  test("owned by root in another user's folder is accepted", () => {
    const above = folderAt(join(folder, 'home'));
    chownSync(above, OTHER_USER_ID, OTHER_USER_ID);
    expect(prepareDataDirectory(join(above, 'data')).root).toBe(join(above, 'data'));
  });

  test("through another user's link is refused", () => {
    symlinkSync(folderAt(join(folder, 'data')), join(folder, 'link'));
    lchownSync(join(folder, 'link'), OTHER_USER_ID, OTHER_USER_ID);
    expect(() => prepareDataDirectory(join(folder, 'link'))).toThrow(/link .*4711/);
  });

  test.each(['pgdata', 'run'])('is refused while its %s belongs to another user', (name) => {
    const dataDir = folderAt(join(folder, 'data'));
    mkdirSync(join(dataDir, name));
    chownSync(join(dataDir, name), OTHER_USER_ID, OTHER_USER_ID);
    expect(() => prepareDataDirectory(dataDir)).toThrow(/\buser\b/);
  });

  test('is refused while its pgdata is a symbolic link', () => {
    const dataDir = folderAt(join(folder, 'data'));
    symlinkSync(folderAt(join(folder, 'elsewhere')), join(dataDir, 'pgdata'));
    expect(() => prepareDataDirectory(dataDir)).toThrow(/symbolic link/);
  });

  test.each(insecureFiles)('whose master key %s is refused', (_name, open, says) => {
    const dataDir = folderAt(join(folder, 'data'));
    const key = readMasterKeyFile(dataDir, true);
    expect(readMasterKeyFile(dataDir, true)).toBe(key);
    open(join(dataDir, 'master.key'));
    expect(() => readMasterKeyFile(dataDir, true)).toThrow(says);
  });

  test('that others may write ends the commands with exit code 3, and doctor reports it', async () => {
    const dataDir = folderAt(join(folder, 'data'));
    chmodSync(dataDir, 0o777);
    for (const words of [['serve'], ['migrate'], ['user', 'list'], ['doctor']]) {
      const environment = { POSTERN_DATA_DIR: dataDir, POSTERN_GRPC_LISTEN: '127.0.0.1:0' };
      const { exitCode, stdout, stderr } = await runPostern(words, { environment });
      expect([words, exitCode]).toEqual([words, 3]);
      expect(stdout + stderr).toMatch(/is writable by everybody; .*chmod go-w/);
    }
  });
});

describeAsRoot('D21 as root, a file that a setting names', () => {
  const key = Buffer.from('0123456789abcdef0123456789ABCDEF').toString('base64');
  const settings = { DATABASE_URL: 'postgres://postern@localhost/postern', POSTERN_INSECURE: 'true' };
  const faultsOf = (environment: Record<string, string>) => {
    try {
      loadSettings({ ...settings, ...environment });
      return [];
    } catch (error) {
      if (error instanceof SettingsError) return error.faults;
      throw error;
    }
  };
  const secretIn = (...below: string[]) => {
    const path = join(folder, ...below);
    writeFileSync(path, key, { mode: 0o600 });
    return path;
  };

  test('and that nobody else may change is accepted', () => {
    expect(faultsOf({ POSTERN_MASTER_KEY_FILE: secretIn('key') })).toEqual([]);
  });

  test.each(insecureFiles)('and that %s is refused', (_name, open, says) => {
    const path = secretIn('key');
    open(path);
    const faults = faultsOf({ POSTERN_MASTER_KEY_FILE: path });
    expect(faults).toEqual([expect.stringMatching(/^POSTERN_MASTER_KEY_FILE names a file that other/)]);
    expect(faults[0]).toMatch(says);
    expect(faults[0]).not.toContain(key);
  });

  test.each(insecureFiles)('in a folder that %s is refused', (_name, open, says) => {
    folderAt(join(folder, 'secrets'));
    const path = secretIn('secrets', 'key');
    open(join(folder, 'secrets'));
    expect(faultsOf({ POSTERN_MASTER_KEY_FILE: path })).toEqual([expect.stringMatching(says)]);
  });

  test("through another user's link is refused, and through a link of root's, as Kubernetes mounts secrets, accepted", () => {
    symlinkSync(secretIn('key'), join(folder, 'link'));
    expect(faultsOf({ POSTERN_MASTER_KEY_FILE: join(folder, 'link') })).toEqual([]);
    lchownSync(join(folder, 'link'), OTHER_USER_ID, OTHER_USER_ID);
    expect(faultsOf({ POSTERN_MASTER_KEY_FILE: join(folder, 'link') })).toEqual([
      expect.stringMatching(/link .*4711/),
    ]);
  });

  test('for TLS is refused at the start and at a reload', async () => {
    const issued = createAuthority('ours').issue({ dns: ['localhost'] });
    const { cert, key: keyFile } = writeIssued(folder, 'server', issued);
    const tls = { POSTERN_TLS_CERT: cert, POSTERN_TLS_KEY: keyFile };
    const master = { POSTERN_MASTER_KEY_FILE: secretIn('master') };
    expect(faultsOf({ ...master, ...tls })).toEqual([]);
    const events: string[] = [];
    const server = await ServerTls.open({ cert, key: keyFile, ca: null }, (event) =>
      events.push(JSON.stringify(event)),
    );
    chmodSync(keyFile, 0o646);
    expect(faultsOf({ ...master, ...tls })).toEqual([
      expect.stringMatching(/^POSTERN_TLS_KEY can be changed by others: .* is writable by everybody/),
    ]);
    await server.reload();
    server.stop();
    expect(events.join()).toMatch(/unusable.*POSTERN_TLS_KEY /);
  });
});
