import { readFileSync } from 'node:fs';

import { Command } from 'commander';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { commands } from '../../src/cli/commands.ts';
import { account } from '../support/account.ts';
import { totpOf } from '../support/second-factors.ts';
import { makeClientKey } from '../support/client-assertion.ts';
import { runHere } from '../support/run-here.ts';
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService, type TestService } from '../support/test-service.ts';

const page = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
/** The documented commands and the JSON that they print. */
const examples = [...page.matchAll(/^`postern (.+) --json`\n\n```json\n([^]+?)\n```$/gm)].map(
  ([, command = '', json = '']) => [command, JSON.parse(json) as unknown] as const,
);
/** What depends on the action or the token, so that only its kind is compared. */
const FREE = new Set(['details']);

const password = 'correct horse battery';
let database: TestDatabase;
let service: TestService;
let token: string;
beforeAll(async () => {
  database = await createTestDatabase();
  service = await startTestService({}, database);
  await service.addUser('ann@example.com', password, ['admin']);
  ({ access_token: token } = await account.login(service, 'ann@example.com', password));
  expect((await run(['service', 'create', 'orders', '--role', 'reader'])).exitCode).toBe(0);
  const trusted = ['issuer', 'add', 'https://token.actions.githubusercontent.com', '--once'];
  expect((await run(trusted)).exitCode).toBe(0);
  const { publicJwk } = makeClientKey();
  expect((await run(['service', 'key', 'add', 'orders', '-'], publicJwk)).exitCode).toBe(0);
  const key = ['api-key', 'create', 'export', '--email', 'ann@example.com', '--role', 'admin'];
  expect((await run([...key, '--network', '192.0.2.0/24'])).exitCode).toBe(0);
  await service.addUser('bob@example.com', password);
  const enrol = ['user', 'enrol-totp', '--email', 'bob@example.com'];
  const { stdout } = await run([...enrol, '--json']);
  const { factor_id, secret } = JSON.parse(stdout) as { factor_id: string; secret: string };
  expect((await run([...enrol, '--confirm', factor_id], totpOf(secret))).exitCode).toBe(0);
}, 30_000);
afterAll(async () => {
  await service.stop();
  await database.drop();
});

const run = (words: readonly string[], stdin = '') =>
  runHere(words, { environment: { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey }, stdin });

/** The names of all members, in order, and the kinds of their values; null and a text are both values of an optional one. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shapeOf(value[0])];
  if (typeof value !== 'object' || value === null) return value === null ? 'string' : typeof value;
  return Object.entries(value).map(([name, member]) => [name, FREE.has(name) ? 'free' : shapeOf(member)]);
}

/** Pairs of an example and the actual value of its shape; of a list, those entries of the example that the output has. */
function pairs(actual: unknown, example: unknown): [actual: unknown, example: unknown][] {
  if (!Array.isArray(actual) || !Array.isArray(example)) return [[actual, example]];
  const sizeOf = (entry: unknown) => Object.keys(entry as object).length;
  return example.flatMap((entry): [unknown, unknown][] => {
    const same = actual.find((other) => sizeOf(other) === sizeOf(entry)) as unknown;
    return same === undefined ? [] : [[same, entry]];
  });
}

test.each(examples)('the JSON of %s is the documented one', async (command, example) => {
  const words = command.replace('http://127.0.0.1:8080', service.httpUrl).split(' ').concat('--json');
  const { stdout, stderr } = await run(words, words.includes('-') ? token : '');
  if (stdout === '') throw new Error(stderr);
  const actual: unknown = JSON.parse(stdout);
  // A list may lack an entry, such as a warning of doctor about Node where Node is a newer one.
  const compared = pairs(actual, example);
  expect(compared.length).toBeGreaterThan(0);
  for (const [value, documented] of compared) expect(shapeOf(value)).toEqual(shapeOf(documented));
});

test('every command that reads and prints JSON has an example', async () => {
  const readers: string[] = [];
  for (const { path, load } of commands) {
    const command = new Command();
    (await load())(command);
    const isReader = /^(list|doctor|inspect|factors|get|show)$/.test(path.at(-1) ?? '');
    if (isReader && command.options.some(({ long }) => long === '--json')) readers.push(path.join(' '));
  }
  expect(readers.length).toBeGreaterThanOrEqual(7);
  for (const path of readers)
    expect(examples.map(([command]) => `${command} `)).toContainEqual(expect.stringContaining(`${path} `));
});

test('the audit trail says which user on which machine ran a command, and finds it', async () => {
  const read = async (...words: string[]) =>
    JSON.parse((await run(['audit', 'list', ...words, '--json'])).stdout) as Record<string, unknown>[];
  const [created] = await read('--action', 'service.create');
  const actor = String(created?.['actor_id']);
  expect([created?.['actor_type'], actor]).toEqual([
    'operator',
    expect.stringMatching(/^[\w.-]+\/[^\s@/]+$/),
  ]);
  expect((await read('--actor', actor)).map(({ action }) => action)).toContain('service.create');
  const other = await run(['audit', 'list', '--actor', 'ann@db-1']);
  expect([other.exitCode, other.stderr.includes('HOST/USER')]).toEqual([2, true]);
});
