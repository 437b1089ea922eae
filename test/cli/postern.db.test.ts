import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { commands } from '../../src/cli/commands.ts';
import { exitCodes } from '../../src/cli/exit-codes.ts';
import { runHere } from '../support/run-here.ts';
import { runPostern } from '../support/run-postern.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-cli-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('help', () => {
  test('names every command and every exit code, on standard output', async () => {
    const { exitCode, stdout, stderr } = await runPostern(['--help']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    for (const { path } of commands) expect(stdout).toMatch(new RegExp(`^  ${path[0]} `, 'm'));
    for (const code of Object.values(exitCodes)) expect(stdout).toMatch(new RegExp(`^  ${code} `, 'm'));
  });

  test.each(commands.map(({ path }) => [path.join(' '), path] as const))(
    '%s has help',
    async (_name, path) => {
      const asked = await runHere([...path, '--help']);
      expect(asked.exitCode).toBe(0);
      expect(asked.stdout).toContain(`Usage: postern ${path.join(' ')}`);
      expect(await runHere(['help', ...path])).toEqual(asked);
    },
  );

  test('a call without a command, or a group without a verb, is wrong use and shows the help', async () => {
    for (const words of [[], ['token']]) {
      const { exitCode, stdout, stderr } = await runHere(words);
      expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.wrongUse, stdout: '' });
      expect(stderr).toMatch(/^Usage: postern/);
    }
  });

  test('--version is the version of the package', async () => {
    const manifest = JSON.parse(
      readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
    ) as object;
    const { exitCode, stdout } = await runPostern(['--version']);
    expect({ exitCode, version: stdout.trim() }).toMatchObject({
      exitCode: 0,
      version: manifest['version' as never],
    });
  });
});

describe('wrong use', () => {
  test.each([
    [
      'a misspelt group',
      ['tokn', 'inspect'],
      /unknown command 'tokn'\n\(Did you mean token\?\)\nSee: postern --help\n$/,
    ],
    [
      'a misspelt verb',
      ['token', 'inspekt'],
      /'inspekt'\n\(Did you mean inspect\?\)\nSee: postern token --help\n$/,
    ],
    [
      'a misspelt option',
      ['token', 'inspect', '--jwsk'],
      /'--jwsk'\n\(Did you mean --jwks\?\)\nSee: postern token inspect/,
    ],
    ['help for nothing', ['help', 'nothing'], /unknown command 'nothing'/],
    ['too many arguments', ['token', 'inspect', 'a', 'b'], /too many arguments/],
    ['an option without its value', ['token', 'inspect', '--issuer'], /'--issuer <text>' argument missing/],
  ])('%s', async (_name, words, expected) => {
    const { exitCode, stdout, stderr } = await runHere(words);
    expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.wrongUse, stdout: '' });
    expect(stderr).toMatch(expected);
  });

  const token = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.hunter2';
  test.each([
    [['token', 'inspect', 'x', '--password=hunter2']],
    [['token', 'inspect', 'x', '--password', 'hunter2']],
    [['token', 'inspect', 'x', "--secret=it's hunter2's"]],
    [['token', 'inspect', 'x', '-phunter2']],
    [['token', 'inspect', 'x', "-p'hunter2"]],
    [['user', 'create', '--email', 'a@example.com', '--password=hunter2']],
    [[token]],
    [['token', token]],
    [['token', 'inspect', token, token]],
  ])('secrets in %j are not repeated', async (words) => {
    const { exitCode, stdout, stderr } = await runHere(words);
    expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.wrongUse, stdout: '' });
    expect(stderr).not.toContain('hunter2');
    if (words.some((word) => /^--(password|secret)/.test(word)))
      expect(stderr).toContain('Secrets are never');
  });
});

describe('failures', () => {
  test('all invalid settings are listed together, without their values or a stack trace', async () => {
    const environment = {
      POSTERN_SECRET: 'only-hunter2',
      POSTERN_ACCESS_TOKEN_TTL: '10',
      POSTERN_AUDIENC: 'hunter2',
    };
    const { exitCode, stdout, stderr } = await runPostern(['serve'], { environment });
    expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.settings, stdout: '' });
    expect(stderr.match(/^ {2}- POSTERN_\w+/gm)).toEqual([
      '  - POSTERN_SECRET',
      '  - POSTERN_ACCESS_TOKEN_TTL',
      '  - POSTERN_AUDIENC',
    ]);
    expect(stderr).not.toContain('hunter2');
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('POSTERN_LOG_LEVEL=debug shows a stack trace', async () => {
    const environment = { POSTERN_LOG_LEVEL: 'debug', POSTERN_ACCESS_TOKEN_TTL: '10' };
    const { exitCode, stderr } = await runPostern(['serve'], { environment });
    expect(exitCode).toBe(exitCodes.settings);
    expect(stderr).toMatch(/^\s+at /m);
  });
});

test('token inspect loads neither gRPC nor the database, which serve does', async () => {
  const reporter = join(folder, 'report-loaded.cjs');
  writeFileSync(
    reporter,
    `process.on('exit', () => process.stderr.write(process.moduleLoadList.join('\\n')));`,
  );
  // Modules of Node that only gRPC and only the database driver load.
  const loadedBy = async (words: string[], environment = {}) => {
    const { stderr } = await runPostern(words, { nodeOptions: ['--require', reporter], environment });
    return stderr.split('\n').filter((name) => /^NativeModule (http2|dns)$/.test(name));
  };
  expect(await loadedBy(['token', 'inspect', 'x'])).toEqual([]);
  const started = await loadedBy(['serve'], { POSTERN_ACCESS_TOKEN_TTL: 'wrong' });
  expect(started.sort()).toEqual(['NativeModule dns', 'NativeModule http2']);
});

test('a closed pipe is no failure', async () => {
  const bin = fileURLToPath(new URL('../../dist/command/postern.js', import.meta.url));
  const child = spawn(process.execPath, [bin, 'token', 'inspect', 'x'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [exitCode] = (await once(child, 'close')) as [number];
  expect(exitCode).toBe(exitCodes.tokenRefused);
  expect(stderr).not.toContain('EPIPE');
});

test('a full disk on standard output makes a command fail, with a message', async () => {
  const full = openSync('/dev/full', 'w');
  const { exitCode, stderr } = await runPostern(['token', 'inspect', 'x'], { stdout: full });
  closeSync(full);
  expect(exitCode).toBe(exitCodes.unexpected);
  expect(stderr).toContain('(ENOSPC)');
  expect(stderr).not.toMatch(/^ +at /m);
});

test('a full disk on standard error changes nothing', async () => {
  const full = openSync('/dev/full', 'w');
  const { exitCode, stdout } = await runPostern(['token', 'inspect', 'x'], { stderr: full });
  closeSync(full);
  expect(exitCode).toBe(exitCodes.tokenRefused);
  expect(stdout.length).toBeGreaterThan(0);
});
