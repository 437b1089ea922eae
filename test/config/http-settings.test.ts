import { randomBytes } from 'node:crypto';

import { describe, expect, test } from '@jest/globals';

import { loadSettings, SettingsError } from '../../src/config/load-settings.ts';

const key = randomBytes(32).toString('base64');
const production = {
  DATABASE_URL: 'postgres://postern@localhost/postern',
  POSTERN_MASTER_KEY: key,
  POSTERN_ISSUER: 'https://auth.example.com',
};
const faultsOf = (environment: Record<string, string>) => {
  try {
    loadSettings(environment);
    return [];
  } catch (error) {
    return (error as SettingsError).faults;
  }
};

test('RPCs are served over HTTP in the first look, and in production and in a sidecar only on demand', () => {
  expect(loadSettings({}).httpRpc).toBe('admin');
  expect(loadSettings(production).httpRpc).toBe('off');
  expect(loadSettings({}, { for: 'sidecar' }).httpRpc).toBe('off');
  expect(loadSettings({ ...production, POSTERN_HTTP_RPC: 'auth' }).httpRpc).toBe('auth');
});

test('J06 the OAuth endpoints are served in the first look, and otherwise on demand; the paths of a tutorial only on demand', () => {
  const served = (...given: Parameters<typeof loadSettings>) => {
    const { oauth, passwordDoor } = loadSettings(...given);
    return [oauth, passwordDoor];
  };
  expect(served({})).toEqual([true, false]);
  expect(served(production)).toEqual([false, false]);
  expect(served({}, { for: 'sidecar' })).toEqual([false, false]);
  expect(served({ ...production, POSTERN_OAUTH: 'on', POSTERN_PASSWORD_DOOR: 'on' })).toEqual([true, true]);
  expect(served({ POSTERN_OAUTH: 'off', POSTERN_HTTP_RPC: 'admin' })).toEqual([false, false]);
});

test('H04 origins are listed as browsers write them', () => {
  expect(loadSettings({}).corsOrigins).toEqual([]);
  const listed = 'https://app.example.com, http://localhost:5173';
  expect(loadSettings({ POSTERN_CORS_ORIGINS: listed }).corsOrigins).toEqual([
    'https://app.example.com',
    'http://localhost:5173',
  ]);
  for (const text of [
    '*',
    'https://*.example.com',
    'https://app.example.com/',
    'https://APP.example.com',
    'null',
    'app',
  ])
    expect(faultsOf({ POSTERN_CORS_ORIGINS: text })).toEqual([
      expect.stringContaining('POSTERN_CORS_ORIGINS must be origins as browsers write them'),
    ]);
  expect(faultsOf({ POSTERN_CORS_ORIGINS: 'https://app.example.com:443' })).toHaveLength(1);
});

test('the default issuer has the port of the HTTP listener, except in production', () => {
  const issuerAt = (listen: string, more = {}) =>
    loadSettings({ POSTERN_HTTP_LISTEN: listen, ...more }).issuer;
  expect(loadSettings({}).issuer).toBe('http://127.0.0.1:8080');
  expect(issuerAt('127.0.0.1:9000')).toBe('http://127.0.0.1:9000');
  expect(issuerAt('127.0.0.1:0')).toBe('http://127.0.0.1:8080');
  expect(issuerAt('unix:/tmp/http.sock')).toBe('http://127.0.0.1:8080');
  expect(issuerAt('127.0.0.1:9000', { POSTERN_ISSUER: 'http://a.example' })).toBe('http://a.example');
  expect(issuerAt('127.0.0.1:9000', { ...production, POSTERN_ISSUER: '' })).toBe('http://127.0.0.1:8080');
});

test('port 0 without an issuer is warned of', () => {
  const warned = (environment: Record<string, string>) =>
    loadSettings(environment).warnings.filter((text) => text.includes('jwks_uri'));
  expect(warned({ POSTERN_HTTP_LISTEN: '127.0.0.1:0' })).toHaveLength(1);
  expect(warned({ POSTERN_HTTP_LISTEN: '127.0.0.1:0', POSTERN_ISSUER: 'http://a.example' })).toEqual([]);
  expect(warned({})).toEqual([]);
});

describe('the console', () => {
  const consoleIn = (environment: Record<string, string>) => loadSettings(environment).console;
  const withMore = (more: Record<string, string>) => ({ ...production, ...more });

  test('C01 is on in the first look, wherever AdminService is served over HTTP, and in production only on demand', () => {
    expect(consoleIn({})).toBe(true);
    expect(consoleIn({ POSTERN_CONSOLE: 'off' })).toBe(false);
    expect(consoleIn({ POSTERN_HTTP_RPC: 'auth' })).toBe(false);
    expect(consoleIn({ POSTERN_ADMIN_LISTEN: '127.0.0.1:50052' })).toBe(false);
    const own = { POSTERN_CONSOLE_LISTEN: '127.0.0.1:9000' };
    expect(consoleIn({ POSTERN_HTTP_RPC: 'off', ...own })).toBe(true);
    expect(consoleIn(production)).toBe(false);
    expect(consoleIn(withMore({ POSTERN_HTTP_RPC: 'admin' }))).toBe(false);
    expect(consoleIn(withMore({ POSTERN_HTTP_RPC: 'admin', POSTERN_CONSOLE: 'on' }))).toBe(true);
    expect(consoleIn(withMore({ POSTERN_CONSOLE: 'on', ...own }))).toBe(true);
    expect(loadSettings({ POSTERN_CONSOLE: 'on' }, { for: 'sidecar' }).console).toBe(false);
  });

  test('C01 what it lacks is said when it is asked for', () => {
    const lacking = [expect.stringMatching(/^POSTERN_CONSOLE=on needs AdminService over HTTP; set/)];
    expect(faultsOf(withMore({ POSTERN_CONSOLE: 'on' }))).toEqual(lacking);
    expect(faultsOf(withMore({ POSTERN_CONSOLE: 'on', POSTERN_HTTP_RPC: 'auth' }))).toEqual(lacking);
    const besideAdmin = { POSTERN_HTTP_RPC: 'admin', POSTERN_ADMIN_LISTEN: '127.0.0.1:50052' };
    expect(faultsOf(withMore({ POSTERN_CONSOLE: 'on', ...besideAdmin }))).toEqual(lacking);
    expect(faultsOf({ POSTERN_CONSOLE: 'on', POSTERN_HTTP_RPC: 'off' })).toEqual(lacking);
  });

  test('C02 a listener of its own needs the console, an address of its own, and TLS beyond this machine', () => {
    const needsConsole = [expect.stringMatching(/^POSTERN_CONSOLE_LISTEN needs POSTERN_CONSOLE=on/)];
    expect(faultsOf(withMore({ POSTERN_CONSOLE_LISTEN: '127.0.0.1:9000' }))).toEqual(needsConsole);
    expect(faultsOf({ POSTERN_CONSOLE: 'off', POSTERN_CONSOLE_LISTEN: '127.0.0.1:9000' })).toEqual(
      needsConsole,
    );
    const sameAddress = [expect.stringMatching(/^POSTERN_CONSOLE_LISTEN is the same address as another/)];
    for (const address of ['127.0.0.1:50051', '127.0.0.1:8080', '127.0.0.1:50052'])
      expect(faultsOf({ POSTERN_ADMIN_LISTEN: '127.0.0.1:50052', POSTERN_CONSOLE_LISTEN: address })).toEqual(
        sameAddress,
      );
    const plaintext = [expect.stringMatching(/^POSTERN_CONSOLE_LISTEN would accept plaintext/)];
    expect(faultsOf({ POSTERN_CONSOLE_LISTEN: '0.0.0.0:9000' })).toEqual(plaintext);
    expect(faultsOf({ POSTERN_CONSOLE_LISTEN: '0.0.0.0:9000', POSTERN_INSECURE: 'true' })).toEqual([]);
    expect(faultsOf({ POSTERN_CONSOLE_LISTEN: 'unix:/tmp/console.sock' })).toEqual([]);
  });
});

test('C03 host names are listed without scheme, port and wildcard', () => {
  expect(loadSettings({}).httpHosts).toEqual([]);
  expect(loadSettings({ POSTERN_HTTP_HOSTS: 'Auth.internal, postern_1,localhost' }).httpHosts).toEqual([
    'auth.internal',
    'postern_1',
    'localhost',
  ]);
  for (const text of ['https://a.example', 'a.example:443', '*.example', 'a.example,', 'é.example', 'a..b'])
    expect(faultsOf({ POSTERN_HTTP_HOSTS: text })).toEqual([
      expect.stringContaining('POSTERN_HTTP_HOSTS must be host names separated by commas'),
    ]);
  expect(faultsOf({ POSTERN_HTTP_HOSTS: '192.0.2.1' })).toEqual([
    'POSTERN_HTTP_HOSTS has an IP address, which is accepted in any case; remove it',
  ]);
});

test('R46 channelz listens on a unix socket of its own alone', () => {
  const channelzListenOf = (address: string, purpose: 'serve' | 'sidecar' = 'serve') =>
    loadSettings({ POSTERN_CHANNELZ_LISTEN: address }, { for: purpose }).channelzListen;
  expect(loadSettings({}).channelzListen).toBeNull();
  for (const purpose of ['serve', 'sidecar'] as const)
    expect(channelzListenOf('unix:/run/channelz.sock', purpose)).toEqual({
      kind: 'unix',
      path: '/run/channelz.sock',
    });
  for (const address of ['127.0.0.1:50071', '[::1]:0', 'localhost:50071'])
    expect(faultsOf({ POSTERN_CHANNELZ_LISTEN: address })).toEqual([
      expect.stringContaining('POSTERN_CHANNELZ_LISTEN must be a unix socket'),
    ]);
  expect(faultsOf({ POSTERN_CHANNELZ_LISTEN: '/run/channelz.sock' })).toEqual([
    expect.stringContaining('write unix:PATH'),
  ]);
  const same = { POSTERN_CHANNELZ_LISTEN: 'unix:/run/one.sock', POSTERN_GRPC_LISTEN: 'unix:/run/one.sock' };
  expect(faultsOf(same)).toEqual([expect.stringContaining('the same address as another listener')]);
});
