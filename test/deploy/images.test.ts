import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
const script = join(root, 'deploy', 'pin-images.sh');

/** The places where a file names an image. A single word names a build stage. */
const places: readonly RegExp[] = [
  /^FROM (?:--platform=\S+ )?(\S+)/gm,
  /^COPY --from=(\S+)/gm,
  /^\s*-?\s*image:\s*['"]?([^\s'"]+)/gm,
  /\bdocker (?:run|pull|create)\b(?: -\S+(?:[ =](?!-)\S+)?)* ([\w./-]+:[\w.-]+)/g,
];
/** The count of numbers in a full version, where it is not 3. */
const NUMBERS: Readonly<Record<string, number>> = { postgres: 2 };

function imagesIn(text: string): string[] {
  return places
    .flatMap((place) => [...text.matchAll(place)].map(([, name = '']) => name))
    .filter((name) => name !== 'scratch' && /[:/.]/.test(name));
}

function hasFullVersion(image: string): boolean {
  const [, name = '', version = ''] = /^([\w./-]+):v?(\d+(?:\.\d+)*)(?:-[\w.-]+)?$/.exec(image) ?? [];
  return name !== '' && version.split('.').length === (NUMBERS[name] ?? 3);
}

/** Every file of the repository in which an image could be named. */
function files(folder = root): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      const isOurs = !/^(node_modules|dist|coverage|generated|stubs|\.git|\.interop|\.postern)$/.test(
        entry.name,
      );
      return isOurs ? files(path) : [];
    }
    return /Dockerfile|\.(ya?ml|sh|md)$/.test(entry.name) ? [path] : [];
  });
}

describe('X07 images', () => {
  test('the search tells images from build stages, and full versions from moving tags', () => {
    const dockerfile =
      'FROM node:24-slim AS build\nFROM scratch\nCOPY --from=build /a /b\nCOPY --from=busybox:1.36.1 /c /d\n';
    expect(imagesIn(dockerfile)).toEqual(['node:24-slim', 'busybox:1.36.1']);
    expect(imagesIn('    image: "envoyproxy/envoy:v1.40.0"\n  - image: postgres:18\n')).toEqual([
      'envoyproxy/envoy:v1.40.0',
      'postgres:18',
    ]);
    expect(imagesIn('docker run --rm -p 5432:5432 postgres:18.4\n')).toEqual(['postgres:18.4']);
    expect(
      ['node:24.21.0-bookworm-slim', 'postgres:18.4', 'envoyproxy/envoy:v1.40.0'].filter(hasFullVersion),
    ).toHaveLength(3);
    const moving = [
      'node:24-slim',
      'node:24.21',
      'postgres:18',
      'postgres',
      'a/b:latest',
      'gcr.io/distroless/nodejs24-debian12:nonroot',
    ];
    expect(moving.filter(hasFullVersion)).toEqual([]);
  });

  test('every image in the repository has a full version', () => {
    const named = files().flatMap((path) =>
      imagesIn(readFileSync(path, 'utf8')).map((image) => [path.slice(root.length), image] as const),
    );
    expect(named.map(([path]) => path)).toEqual(
      expect.arrayContaining(['deploy/Dockerfile', 'docker-compose.yml']),
    );
    expect(named.filter(([, image]) => !hasFullVersion(image))).toEqual([]);
  });
});

describe('X07 deploy/pin-images.sh', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'postern-images-'));
    const tools = ['bash', 'sed', 'sort', 'dirname', 'grep', 'head', 'env', 'cat'];
    for (const tool of tools) {
      symlinkSync(
        execFileSync('sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim(),
        join(folder, tool),
      );
    }
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const run = () => spawnSync(script, { env: { PATH: folder }, encoding: 'utf8' });
  const docker = (text: string) => {
    writeFileSync(join(folder, 'docker'), `#!/usr/bin/env bash\n${text}\n`);
    chmodSync(join(folder, 'docker'), 0o755);
  };

  test('gives advice where docker is not installed or its engine does not respond', () => {
    expect(run()).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/docker is not installed/),
    });
    docker('exit 1');
    expect(run()).toMatchObject({
      status: 2,
      stdout: '',
      stderr: expect.stringMatching(/engine does not respond/),
    });
  });

  test('prints each image with its digest', () => {
    docker(`case "$1 $2" in
      version*) ;;
      'pull --quiet') echo "$3" >>"${folder}/pulled" ;;
      'image inspect') printf '%s@sha256:%064d\\n\\n' "\${@: -1}" 7 ;;
      *) exit 9 ;;
    esac`);
    const digest = `@sha256:${'7'.padStart(64, '0')}`;
    const named = [
      ...new Set([
        ...imagesIn(readFileSync(join(root, 'deploy/Dockerfile'), 'utf8')),
        ...imagesIn(readFileSync(join(root, 'docker-compose.yml'), 'utf8')),
      ]),
    ].sort();
    expect(run()).toMatchObject({
      status: 0,
      stderr: '',
      stdout: named.map((image) => `${image}${digest}\n`).join(''),
    });
    expect(readFileSync(join(folder, 'pulled'), 'utf8').split('\n').filter(Boolean)).toEqual(named);
  });
});
