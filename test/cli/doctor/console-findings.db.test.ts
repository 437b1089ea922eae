import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { administratorFindings, consoleFindings } from '../../../src/cli/doctor/console-findings.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { serviceEnvironment } from '../../support/service-environment.ts';
import { createTestDatabase, type TestDatabase } from '../../support/test-database.ts';
import { addUser } from '../../support/test-service.ts';

let store: TestDatabase;
beforeAll(async () => {
  store = await createTestDatabase();
});
afterAll(() => store.drop());

const settingsOf = (environment: Record<string, string>) =>
  loadSettings({
    ...serviceEnvironment(store.url),
    POSTERN_HTTP_RPC: 'admin',
    POSTERN_CONSOLE: 'on',
    POSTERN_HTTP_LISTEN: '127.0.0.1:8080',
    ...environment,
  });
const said = (environment: Record<string, string>) =>
  consoleFindings(settingsOf(environment)).map(({ verdict, message }) => `${verdict} ${message}`);

test('C74 doctor says where the console is', () => {
  expect(said({ POSTERN_CONSOLE: 'off' })).toEqual([]);
  expect(said({ POSTERN_ISSUER: 'https://auth.example.com' })).toEqual([
    'ok the console is served at http://localhost:8080/console/',
  ]);
  expect(
    said({ POSTERN_ISSUER: 'https://auth.example.com', POSTERN_HTTP_LISTEN: 'unix:/run/http.sock' }),
  ).toEqual(['ok the console is served at unix:/run/http.sock, for a proxy']);
  expect(said({ POSTERN_CONSOLE_LISTEN: '127.0.0.1:8090', POSTERN_HTTP_RPC: 'off' })).toEqual([
    'ok the console is served at http://localhost:8090/console/',
    'warning the console is at none of the origins of passkeys: http://localhost:8080',
  ]);
  expect(said({ POSTERN_HTTP_LISTEN: '127.0.0.1:0' })).toEqual(['ok the console is served at 127.0.0.1:0']);
});

test('C74 doctor warns of a console whose session no browser keeps', () => {
  const exposed = { POSTERN_INSECURE: 'on', POSTERN_HTTP_LISTEN: '0.0.0.0:8080' };
  expect(said({ ...exposed, POSTERN_ISSUER: 'http://auth.example.com' })).toContain(
    'warning browsers keep no session of the console at http://auth.example.com, because it has no TLS',
  );
  expect(said({ ...exposed, POSTERN_ISSUER: 'https://auth.example.com' })).toHaveLength(1);
});

test('C74 doctor warns when the console is at no origin of passkeys', () => {
  const issuer = { POSTERN_ISSUER: 'https://auth.example.com' };
  const elsewhere = {
    POSTERN_PASSKEY_RP_ID: 'example.com',
    POSTERN_PASSKEY_ORIGINS: 'https://app.example.com',
  };
  expect(said({ ...issuer, ...elsewhere })).toContain(
    'warning the console is at none of the origins of passkeys: https://app.example.com',
  );
  const both = 'https://app.example.com,https://auth.example.com';
  expect(said({ ...issuer, ...elsewhere, POSTERN_PASSKEY_ORIGINS: both })).toHaveLength(1);
});

test('C74 doctor says how to make the first administrator, while there is none', async () => {
  const findings = (environment: Record<string, string> = {}) =>
    administratorFindings(store.database, settingsOf(environment), 5_000);
  await addUser(store, 'ann@example.com', 'correct horse battery', ['operator']);
  expect(await findings({ POSTERN_CONSOLE: 'off' })).toEqual([]);
  expect(await findings()).toEqual([
    {
      check: 'settings',
      verdict: 'warning',
      message: 'the console is on, and no enabled user is an administrator',
      advice: 'Run: postern user create --email E --role admin',
    },
  ]);
  await addUser(store, 'admin@example.com', 'correct horse battery', ['admin']);
  expect(await findings()).toEqual([]);
  await store.query(`UPDATE users SET disabled_at = now() WHERE email = 'admin@example.com'`);
  expect(await findings()).toHaveLength(1);
});
