import { execFile, execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { endEveryPostern, type PosternOptions, runPostern } from '../support/run-postern.ts';
import { createTestDatabase } from '../support/test-database.ts';
import { masterKey, startTestService } from '../support/test-service.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bins = join(root, 'node_modules', '.bin');
const environment = { ...process.env, PATH: `${bins}:${process.env['PATH'] ?? ''}` };
const folder = mkdtempSync(join(tmpdir(), 'postern-package-'));
const run = promisify(execFile);
const buf = (...words: string[]) => run(join(bins, 'buf'), words, { cwd: root, env: environment });
afterAll(async () => {
  await endEveryPostern();
  rmSync(folder, { recursive: true, force: true });
});

interface Packed {
  readonly filename: string;
  readonly version: string;
  readonly files: readonly { readonly path: string }[];
}

describe('the package', () => {
  let packed: Packed;
  const unpacked = join(folder, 'package');

  beforeAll(() => {
    const words = ['pack', '--json', '--ignore-scripts', '--pack-destination', folder];
    const [first] = JSON.parse(
      execFileSync('npm', words, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    ) as Packed[];
    if (!first) throw new Error('npm packed nothing');
    packed = first;
    execFileSync('tar', ['-xzf', join(folder, packed.filename), '-C', folder]);
    symlinkSync(join(root, 'node_modules'), join(unpacked, 'node_modules'));
  });

  test('contains the built program and the proto files, and no sources, tests or secrets', () => {
    const paths = packed.files.map(({ path }) => path);
    expect(paths).toEqual(
      expect.arrayContaining([
        'package.json',
        'dist/command/postern.js',
        'dist/client/postern-client.js',
        'dist/console/index.html',
        'dist/console/NOTICES.txt',
        'proto/postern/v1/auth.proto',
        'proto/postern.binpb',
      ]),
    );
    if (existsSync(join(root, 'README.md'))) expect(paths).toContain('README.md');
    const allowed = /^(dist\/|proto\/|(package\.json|README\.md|LICENSE(\.\w+)?|CHANGELOG\.md)$)/;
    expect(paths.filter((path) => !allowed.test(path) || path.endsWith('.tsbuildinfo'))).toEqual([]);
    expect(paths.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))).toEqual([]);
    expect(paths.filter((path) => /(^|\/)\.env|\.(pem|key|p12)$|\.npmrc$|postern-data/.test(path))).toEqual(
      [],
    );
    for (const path of paths) {
      expect(readFileSync(join(unpacked, path), 'utf8')).not.toMatch(
        /-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/]/,
      );
    }
  });

  test('holds no module whose source is gone', () => {
    const modules = packed.files
      .map(({ path }) => path)
      .filter((path) => path.startsWith('dist/') && !/^dist\/(?:command|console)\//.test(path));
    expect(modules.length).toBeGreaterThan(500);
    const sourceOf = (path: string) => path.replace(/^dist/, 'src').replace(/(\.js|\.d\.ts)(\.map)?$/, '.ts');
    expect(modules.filter((path) => !existsSync(join(root, sourceOf(path))))).toEqual([]);
  });

  test('runs under plain node', async () => {
    const bin = join(unpacked, 'dist', 'command', 'postern.js');
    const end = await runPostern(['--version'], { bin, cwd: folder });
    expect(end).toEqual({ exitCode: 0, stdout: `${packed.version}\n`, stderr: '' });
  });

  describe('R03 the entry point of the image, read from the Dockerfile', () => {
    const dockerfile = readFileSync(join(root, 'deploy', 'Dockerfile'), 'utf8');
    const wordsOf = (instruction: string) =>
      JSON.parse(new RegExp(`^${instruction} (\\[.*\\])$`, 'm').exec(dockerfile)?.[1] ?? 'null') as string[];
    // The image has Node at /nodejs and the package at /postern.
    const runImage = (words: readonly string[], options: PosternOptions = {}) => {
      const [node, script = '', ...fixed] = wordsOf('ENTRYPOINT');
      expect(node).toBe('/nodejs/bin/node');
      expect(script).toMatch(/^\/postern\//);
      const bin = script.replace('/postern', unpacked);
      const all = [...fixed, ...(words.length > 0 ? words : wordsOf('CMD'))];
      // Not in its folder, as with `docker run --workdir`.
      return runPostern(all, { ...options, bin, cwd: folder });
    };

    test('an argument is a command of postern', async () => {
      const end = await runImage(['migrate', '--help']);
      expect(end).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('postern migrate') });
    });

    test('no argument means serve', async () => {
      const end = await runImage([], {
        environment: { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/postern' },
      });
      expect(end).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('POSTERN_MASTER_KEY') });
    });

    test('the first user of the compose file is created by the command that its heading names', async () => {
      const compose = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
      const line = /^# +docker compose run --rm postern (user create .*)$/m.exec(compose)?.[1] ?? '';
      const database = await createTestDatabase();
      const end = await runImage([...line.split(' '), '--password-stdin'], {
        environment: { DATABASE_URL: database.url, POSTERN_MASTER_KEY: masterKey },
        stdin: 'correct horse battery',
      });
      expect(end).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('created ann@example.com') });
      expect(await database.query('SELECT roles FROM users')).toEqual([{ roles: ['admin'] }]);
      await database.drop();
    });
  });

  test('X03 the command imports the grpc-js whose version it checks and does not bundle it', () => {
    const folderOfCommand = join(unpacked, 'dist', 'command');
    const parts = readdirSync(folderOfCommand).filter((name) => name.endsWith('.js'));
    const code = parts.map((name) => readFileSync(join(folderOfCommand, name), 'utf8')).join('\n');
    expect(code).toContain('// node_modules/pg/lib/client.js');
    expect(code).toContain('from "@grpc/grpc-js"');
    expect(code).not.toContain('// node_modules/@grpc/grpc-js/');
  });

  test('its import of knex works outside jest', async () => {
    const module = pathToFileURL(join(unpacked, 'dist', 'database', 'database.js')).href;
    const script = `const { Database } = await import(${JSON.stringify(module)}); console.log(typeof Database);`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: folder });
    expect(stdout).toBe('function\n');
  });
});

test('the lock file names no registry', () => {
  expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).not.toContain('"resolved": "http');
});

describe('the contract', () => {
  const filesBelow = (path: string) =>
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
      .sort();

  test('generated code is up to date with the proto files', async () => {
    const fresh = join(folder, 'fresh');
    await buf('generate', '-o', fresh);
    const [made, kept] = [join(fresh, 'src', 'generated'), join(root, 'src', 'generated')];
    const names = filesBelow(made);
    expect(names.length).toBeGreaterThan(0);
    expect(filesBelow(kept).filter((name) => name !== 'descriptor-set.ts')).toEqual(names);
    for (const name of names) {
      expect(readFileSync(join(kept, name), 'utf8')).toBe(readFileSync(join(made, name), 'utf8'));
    }
  });

  test('the descriptors for reflection and the descriptor set are up to date with the proto files', async () => {
    // The script writes below its working directory, so it runs on a copy and the checkout stays unchanged.
    const copy = join(folder, 'descriptors');
    mkdirSync(join(copy, 'src', 'generated'), { recursive: true });
    symlinkSync(join(root, 'package.json'), join(copy, 'package.json'));
    cpSync(join(root, 'proto'), join(copy, 'proto'), { recursive: true });
    cpSync(join(root, 'buf.yaml'), join(copy, 'buf.yaml'));
    await run(process.execPath, ['proto/embed-descriptors.js'], { cwd: copy, env: environment });
    const name = join('src', 'generated', 'descriptor-set.ts');
    expect(readFileSync(join(root, name), 'utf8')).toBe(readFileSync(join(copy, name), 'utf8'));
    const set = join('proto', 'postern.binpb');
    rmSync(join(copy, set));
    await run(process.execPath, ['proto/embed-descriptors.js'], { cwd: copy, env: environment });
    expect(readFileSync(join(root, set)).equals(readFileSync(join(copy, set)))).toBe(true);
  });

  test('buf lint reports nothing', async () => {
    expect((await buf('lint')).stdout).toBe('');
  });
});

describe('buf curl with the published contract alone', () => {
  test.each([
    ['through reflection alone', 'on', []],
    ['with the proto files, without reflection', 'off', ['--schema', 'proto']],
    ['with the descriptor set, without reflection', 'off', ['--schema', 'proto/postern.binpb']],
  ])('logs in and has the token verified %s', async (_name, reflection, schema) => {
    const service = await startTestService({ POSTERN_REFLECTION: reflection });
    const credentials = { email: 'ada@example.com', password: 'correct horse battery' };
    const id = await service.addUser(credentials.email, credentials.password);
    const call = async (method: string, body: object, ...words: string[]) => {
      const url = `http://${service.grpcAddress}/postern.v1.AuthService/${method}`;
      const protocol = ['--protocol', 'grpc', '--http2-prior-knowledge'];
      const { stdout } = await buf('curl', ...schema, ...protocol, ...words, '-d', JSON.stringify(body), url);
      return JSON.parse(stdout) as Record<string, unknown>;
    };
    const { accessToken } = await call('Login', credentials);
    expect(typeof accessToken).toBe('string');
    const verified = await call('VerifyToken', {}, '-H', `authorization: Bearer ${String(accessToken)}`);
    expect(JSON.stringify(verified)).toContain(id);
    await service.stop();
  });
});
