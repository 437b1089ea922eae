import { randomBytes } from 'node:crypto';

import { expect, test } from '@jest/globals';

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
