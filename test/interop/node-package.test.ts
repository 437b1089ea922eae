import { execFile } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { openAdminFixture } from '../support/admin-fixture.ts';
import { startTestService, type TestService } from '../support/test-service.ts';
import { describeWith, toolPath } from './tool.ts';

const clientFolder = fileURLToPath(new URL('../../clients/node', import.meta.url));
const password = 'correct horse battery';
const run = promisify(execFile);

/** How programs are compiled; each is a project that has only installed what its package.json names. */
const PROJECTS = [
  [
    'TypeScript 5.4, CommonJS',
    'typescript-5.4',
    'commonjs',
    { module: 'commonjs', moduleResolution: 'node10' },
  ],
  ['TypeScript 5.4, node16, CommonJS', 'typescript-5.4', 'commonjs', { module: 'node16' }],
  ['TypeScript 5.4, node16, ES modules', 'typescript-5.4', 'module', { module: 'node16' }],
  [
    'TypeScript 5.9, CommonJS',
    'typescript-5.9',
    'commonjs',
    { module: 'commonjs', moduleResolution: 'node10' },
  ],
  [
    'TypeScript 5.9, for a bundler',
    'typescript-5.9',
    'module',
    { module: 'esnext', moduleResolution: 'bundler' },
  ],
  ['TypeScript 6, nodenext, CommonJS', 'typescript-6', 'commonjs', { module: 'nodenext' }],
  ['TypeScript 6, nodenext, ES modules', 'typescript-6', 'module', { module: 'nodenext' }],
] as const;

describeWith('node-consumer', 'the package postern-auth, installed in other projects', () => {
  let home: string;
  let folder: string;
  let service: TestService;
  let environment: Record<string, string>;

  beforeAll(async () => {
    home = realpathSync(toolPath('node-consumer'));
    folder = mkdtempSync(join(home, 'project-'));
    const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], {
      cwd: clientFolder,
    });
    const [{ filename, files }] = JSON.parse(stdout.slice(stdout.indexOf('['))) as [
      { filename: string; files: { path: string }[] },
    ];
    expect(files.map(({ path }) => path)).toEqual(expect.arrayContaining(['package.json', 'README.md']));
    // The file alone: whatever else it needed would have to come from a registry.
    await run('npm', ['install', '--offline', '--no-save', '--no-package-lock', join(folder, filename)], {
      cwd: home,
    });
    service = await startTestService();
    const { id, secret } = await (await openAdminFixture(service.database)).createService('orders');
    await service.addUser('ann@example.com', password, ['reader']);
    environment = {
      PATH: process.env['PATH'] ?? '',
      CLIENT_ID: id,
      CLIENT_SECRET: secret,
      PASSWORD: password,
    };
  }, 120_000);
  afterAll(async () => {
    await service.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** A project with a file of `consumers/`, in a folder of its own. */
  function project(type: string, ...files: string[]): string {
    const path = mkdtempSync(join(folder, 'p-'));
    writeFileSync(join(path, 'package.json'), JSON.stringify({ type }));
    for (const file of files) copyFileSync(join(clientFolder, 'consumers', file), join(path, file));
    return path;
  }

  async function compile(path: string, file: string, tsc: string, options: object): Promise<void> {
    const common = { strict: true, target: 'es2022', types: ['node'], rootDir: '.', outDir: 'out' };
    const tsconfig = { compilerOptions: { ...common, ...options }, files: [file] };
    writeFileSync(join(path, 'tsconfig.json'), JSON.stringify(tsconfig));
    const bin = join(home, 'node_modules', tsc, 'bin', 'tsc');
    await run(process.execPath, [bin, '-p', '.'], { cwd: path }).catch((error: unknown) => {
      throw new Error((error as { stdout: string }).stdout);
    });
  }

  async function runProgram(file: string, cwd: string): Promise<string[]> {
    const words = [file, service.grpcAddress];
    const { stdout } = await run(process.execPath, words, { cwd, env: environment, timeout: 20_000 });
    return stdout.trim().split('\n');
  }
  /** Accepted by Express, Fastify and a gRPC server; after the logout refused by all. */
  const EXPECTED = ['accepted', 'TOKEN_REVOKED 401 401'];

  test.each(PROJECTS)(
    '%s',
    async (_name, tsc, type, options) => {
      const path = project(type, 'program.ts', 'types.ts');
      // Express and Fastify have declarations that the oldest compiler does not understand.
      await compile(path, 'program.ts', tsc, { ...options, esModuleInterop: true, skipLibCheck: true });
      await compile(path, 'types.ts', tsc, { ...options, skipLibCheck: false });
      expect(await runProgram('out/program.js', path)).toEqual(EXPECTED);
    },
    120_000,
  );

  test('a bundle that esbuild made runs without node_modules', async () => {
    const path = project('module', 'program.ts');
    const bundle = join(path, 'bundle.cjs');
    const words = ['--bundle', '--platform=node', '--format=cjs', `--outfile=${bundle}`, 'program.ts'];
    await run(join(home, 'node_modules', '.bin', 'esbuild'), words, { cwd: path });
    const alone = mkdtempSync(join(tmpdir(), 'postern-bundle-'));
    copyFileSync(bundle, join(alone, 'bundle.cjs'));
    expect(await runProgram('bundle.cjs', alone)).toEqual(EXPECTED);
    rmSync(alone, { recursive: true });
  });

  test('Jest without settings', async () => {
    const path = project('commonjs');
    copyFileSync(join(clientFolder, 'consumers', 'jest.test.cjs'), join(path, 'jest.test.js'));
    const jest = join(home, 'node_modules', 'jest', 'bin', 'jest.js');
    const { stderr } = await run(process.execPath, [jest, '--rootDir', path], {
      cwd: path,
      env: environment,
    });
    expect(stderr).toContain('1 passed');
  });

  test('import and require give the same classes', async () => {
    const path = project('commonjs');
    const script = `
      const required = require('postern-auth');
      import('postern-auth').then((imported) => {
        const same = Object.keys(required).filter((name) => required[name] === imported[name]);
        console.log(same.join() === Object.keys(required).join(), same.length > 5);
      });`;
    const { stdout } = await run(process.execPath, ['-e', script], { cwd: path, env: environment });
    expect(stdout).toBe('true true\n');
  });

  test('it brings nothing with it', () => {
    const installed = readdirSync(join(home, 'node_modules', 'postern-auth'));
    expect(installed.sort()).toEqual(['README.md', 'dist', 'package.json']);
  });
});
