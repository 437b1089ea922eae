import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Names of generated or installed folders, at any depth. */
const notOurs = new Set([
  'node_modules',
  'dist',
  'coverage',
  '.git',
  '.interop',
  '.postern',
  '.venv',
  '.pytest_cache',
  'stubs',
]);
/** Paths that the docs name, but that exist only after a build, an installation or a setup step. */
const madeLater = /^(dist|node_modules|secrets|\.interop|\.postern)\b/;
const fileEnding = /\.(ts|mts|mjs|js|md|proto|json|ya?ml|sh|py|go|txt|svg)$/;

interface Page {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

/** The files that the pages may link to. */
interface Tree {
  readonly topNames: ReadonlySet<string>;
  exists(path: string): boolean;
  read(path: string): string;
}

/** The text without code blocks and comments, which contain no links. */
function withoutBlocks(text: string): string {
  return text.replace(/^ *(```+)[^\n]*\n[\s\S]*?^ *\1$/gm, '').replace(/<!--[\s\S]*?-->/g, '');
}

/** The anchors of a page: those that GitHub generates from headings, and explicit ones. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  const prose = withoutBlocks(text);
  for (const [, heading = ''] of prose.matchAll(/^#{1,6} +(.+?) *#*$/gm)) {
    const words = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase();
    const slug = words.replace(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-');
    let anchor = slug;
    for (let count = 1; anchors.has(anchor); count += 1) anchor = `${slug}-${count}`;
    anchors.add(anchor);
  }
  for (const [, id = ''] of prose.matchAll(/<a id="([^"]+)">/g)) anchors.add(id);
  return anchors;
}

/** The broken links and paths of a page, one line each. */
function brokenIn({ path, text }: Page, tree: Tree): string[] {
  const prose = withoutBlocks(text);
  const folder = dirname(path);
  const broken: string[] = [];
  const withoutCode = prose.replace(/`[^`\n]*`/g, '`code`');
  for (const [, target = ''] of withoutCode.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)) {
    if (/^[a-z][a-z+.-]*:/i.test(target)) continue;
    const [file = '', anchor] = target.split('#', 2);
    const aim = file === '' ? path : join(folder, file);
    if (!tree.exists(aim)) broken.push(`${path}: no ${target}`);
    else if (anchor !== undefined && !anchorsOf(tree.read(aim)).has(anchor))
      broken.push(`${path}: no anchor in ${target}`);
  }
  // The changelog may name files that no longer exist.
  if (path === 'CHANGELOG.md') return broken;
  for (const [, name = ''] of prose.matchAll(/`([^`\n]+)`/g)) {
    if (!looksLikeAFile(name, tree) || madeLater.test(name)) continue;
    const places = [name, join(folder, name), join('src', name)];
    if (!places.some((place) => tree.exists(place))) broken.push(`${path}: no file \`${name}\``);
  }
  return broken;
}

/** A path below a folder of the repository or with a file extension, or a name at the root. */
function looksLikeAFile(name: string, { topNames }: Tree): boolean {
  if (!/^[\w.-]+(\/[\w.-]+)*\/?$/.test(name)) return false;
  const [top = '', ...rest] = name.split('/');
  if (rest.length === 0) return topNames.has(name) || /^[A-Z]+\.md$/.test(name);
  return topNames.has(top) || fileEnding.test(name);
}

function filesBelow(folder: string, wanted: RegExp): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (notOurs.has(entry.name)) return [];
    if (entry.isDirectory()) return filesBelow(path, wanted);
    return wanted.test(entry.name) ? [path] : [];
  });
}

const checkout: Tree = {
  topNames: new Set(readdirSync(root).filter((name) => !notOurs.has(name))),
  exists: (path) => existsSync(join(root, path)) && !relative(root, join(root, path)).startsWith('..'),
  read: (path) => (statSync(join(root, path)).isFile() ? readFileSync(join(root, path), 'utf8') : ''),
};

test('every link, anchor and path in the documentation exists', () => {
  const pages = filesBelow('', /\.md$/).map((path) => ({ path, text: checkout.read(path) }));
  expect(pages.length).toBeGreaterThan(20);
  expect(pages.flatMap((page) => brokenIn(page, checkout))).toEqual([]);
});

test('every page that code, messages and proto files name exists', () => {
  const files = ['src', 'proto', 'test', 'bench', 'deploy', '.ci'].flatMap((folder) =>
    filesBelow(folder, /./),
  );
  expect(files).toEqual(expect.arrayContaining(['src/cli/postern.ts', 'deploy/bundle.mjs']));
  const named = files
    .filter((path) => path !== 'test/docs/links.test.ts')
    .flatMap((path) =>
      [...checkout.read(path).matchAll(/\bdocs\/[\w/-]+\.md\b/g)].map(([page]) => ({ path, page })),
    );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter(({ page }) => !checkout.exists(page))).toEqual([]);
});

test('every identifier in the architecture page is in the code', () => {
  const code = ['src', 'console/src', 'test/interop/console']
    .flatMap((folder) => filesBelow(folder, /\.ts$/))
    .map((path) => checkout.read(path))
    .join('\n');
  expect(code.length).toBeGreaterThan(100_000);
  const spans = [...withoutBlocks(checkout.read('docs/architecture.md')).matchAll(/`([^`\n]+)`/g)];
  const names = spans.flatMap(([, span = '']) => (/^[A-Za-z]+[a-z][A-Z]\w*$/.test(span) ? [span] : []));
  expect(names.length).toBeGreaterThan(10);
  expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
});

test('every page of docs/ is linked from the README', () => {
  const readme = checkout.read('README.md');
  const pages = readdirSync(join(root, 'docs'))
    .filter((name) => name !== 'images')
    .map((name) => `docs/${name}`);
  expect(pages.length).toBeGreaterThan(5);
  expect(pages.filter((page) => !readme.includes(`](${page})`))).toEqual([]);
});

test.each([
  ['a missing file', '[a](gone.md)', ['docs/page.md: no gone.md']],
  ['a missing image', '![a](../gone.svg)', ['docs/page.md: no ../gone.svg']],
  ['a missing anchor', '[a](#gone)', ['docs/page.md: no anchor in #gone']],
  ['a missing anchor of another page', '[a](other.md#gone)', ['docs/page.md: no anchor in other.md#gone']],
  [
    'a missing path in backticks',
    '`src/gone.ts`, `net/gone.ts`',
    ['docs/page.md: no file `src/gone.ts`', 'docs/page.md: no file `net/gone.ts`'],
  ],
])('the check finds %s', (_name, text, expected) => {
  expect(brokenIn({ path: 'docs/page.md', text }, small)).toEqual(expected);
});

test.each([
  [
    'links to existing files and anchors',
    '[a](other.md), [b](../src/net/cidr.ts), [c](other.md#the-next-thing-1), [d](#own)\n\n## Own',
  ],
  ['anchors with punctuation', '[a](#post-a-b--c)\n\n## `POST` a, b & c!'],
  ['explicit anchors', '<a id="here"></a> [a](#here)'],
  ['other addresses', '[a](https://example.com/gone.md#x) <mailto:a@example.com>'],
  ['links in code blocks', '```sh\n[a](gone.md) `src/gone.ts`\n```\n`[a](gone.md)`'],
  ['existing paths, also relative to src', '`src/net/cidr.ts`, `net/cidr.ts`, `src/net/`, `package.json`'],
  [
    'words that only look like paths',
    '`application/grpc`, `and/or`, `*-queries.ts`, `dist/command/a.js`, `a.b.c/Method`',
  ],
])('the check passes %s', (_name, text) => {
  expect(brokenIn({ path: 'docs/page.md', text }, small)).toEqual([]);
});

/** A tree of a few files. */
const small: Tree = {
  topNames: new Set(['src', 'docs', 'package.json']),
  exists: (path) =>
    ['docs/page.md', 'docs/other.md', 'src/net', 'src/net/', 'src/net/cidr.ts', 'package.json'].includes(
      path,
    ),
  read: (path) => (path === 'docs/other.md' ? '## The next thing\n\n## The *next* thing\n' : smallPage),
};
const smallPage = '## Own\n\n## `POST` a, b & c!\n\n<a id="here"></a>';
