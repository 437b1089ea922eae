import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(root, 'docs/promises.md'), 'utf8');
const rows = [...page.matchAll(/^\| ([A-Z]\d\d) \|/gm)].map(([, id = '']) => id);

/** Tests in other languages that prove promises. */
const GO_TESTS = [
  'api_key_limits_test.go',
  'api_key_test.go',
  'corpus_test.go',
  'policy_test.go',
  'jwks_test.go',
  'grpcauth/grpcauth_test.go',
  'grpcauth/step_up_test.go',
  'require_test.go',
  'integration/step_up_test.go',
  'integration/verifier_test.go',
  'integration/workload_test.go',
  'workload_test.go',
].map((name) => `clients/go/${name}`);
const PYTHON_TESTS = [
  'api_keys',
  'conformance',
  'fork',
  'grpc_servers',
  'hostile',
  'jwks',
  'policy',
  'service',
  'step_up',
  'workload',
].map((name) => `clients/python/tests/test_${name}.py`);

/** The ids in a text, including every id of a range such as T07-T11. */
function idsIn(text: string): string[] {
  return [...text.matchAll(/\b([TKLSNADEOVXHJWGQMCR])(\d\d)(?:-\1(\d\d))?\b(?!:)/g)].flatMap(
    ([, letter = '', first, last = first]) => {
      const [from, to] = [Number(first), Number(last)];
      return Array.from(
        { length: to - from + 1 },
        (_, step) => letter + String(from + step).padStart(2, '0'),
      );
    },
  );
}

function idsBelow(...places: string[]): Set<string> {
  return new Set(places.flatMap(filesOf).flatMap((path) => idsIn(readFileSync(path, 'utf8'))));
}

function filesOf(place: string): string[] {
  if (place.includes('.')) return [join(root, place)];
  const files = readdirSync(join(root, place), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs|proto)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.includes('/src/generated/') && path !== fileURLToPath(import.meta.url));
  // A moved folder would otherwise pass unnoticed.
  expect(files.length).toBeGreaterThan(place.startsWith('proto') ? 0 : 100);
  return files;
}

test('a range of ids counts as every id in it', () => {
  expect(idsIn('(T01, T07-T09) and D12, but no T1 and no T00:00')).toEqual([
    'T01',
    'T07',
    'T08',
    'T09',
    'D12',
  ]);
});

test('every promise has one row, and a test names it', () => {
  expect(rows.length).toBeGreaterThan(100);
  expect(new Set(rows).size).toBe(rows.length);
  const tested = idsBelow('test', ...GO_TESTS, ...PYTHON_TESTS);
  expect(rows.filter((id) => !tested.has(id))).toEqual([]);
});

test('every id in a comment, a test or a document has a row', () => {
  const pages = readdirSync(join(root, 'docs'))
    .filter((name) => name !== 'images')
    .map((name) => `docs/${name}`);
  expect(pages.length).toBeGreaterThan(5);
  const named = idsBelow('src', 'test', 'proto/postern', 'README.md', ...pages);
  expect([...named].filter((id) => !rows.includes(id))).toEqual([]);
});
