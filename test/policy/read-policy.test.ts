import { readFileSync } from 'node:fs';

import { describe, expect, test } from '@jest/globals';
import { Ajv } from 'ajv';
import { parse } from 'yaml';

import { policyVectors } from '../../clients/conformance/policy-vectors.ts';
import { InvalidPolicy } from '../../src/policy/policy-document.ts';
import { policyFormatOf, readPolicy } from '../../src/policy/read-policy.ts';

const file = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const vectors = await policyVectors();

const faultsOf = async (text: string): Promise<readonly string[]> => {
  const error: unknown = await readPolicy(text, 'yaml').catch((thrown: unknown) => thrown);
  if (!(error instanceof InvalidPolicy))
    throw new Error('the policy is read without a fault', { cause: error });
  return error.faults;
};

test('G23 the committed vectors are those of this reader; run npm run conformance -- sample for new ones', () => {
  expect(JSON.parse(file('clients/conformance/sample/policies.json'))).toEqual(vectors);
});

test('every fault is named, with its line and what to write', async () => {
  const text = [
    'version: 2',
    'audiense: orders',
    'methods:',
    '  /shop.Orders/Cancel: {role: [admin]}',
    '  /shop.Orders/*: public',
    '  /shop.Orders/List: {roles: [no], actors: []}',
    '  /shop.Orders/Hours: open',
  ].join('\n');
  expect(await faultsOf(text)).toEqual([
    "line 2: the file has an unknown member 'audiense'; did you mean 'audience'?",
    'line 1: the version is unknown to this release; write version: 1',
    "line 4: /shop.Orders/Cancel has an unknown member 'role'; did you mean 'roles'?",
    "line 5: '/shop.Orders/*' is not a full method name; write /package.Service/Method",
    "line 6: /shop.Orders/List: roles has 'no', which is not text everywhere; write it in quotes",
    'line 6: /shop.Orders/List: actors is not a list of names; write [name], or remove it',
    'line 7: /shop.Orders/Hours is neither public nor a mapping; write {} to require a valid token',
  ]);
});

test('the number and the length of the faults are bounded, and none has a control character', async () => {
  const bad = Array.from({ length: 100 }, (_, index) => `  "m${index}\\n${'x'.repeat(500)}": public`);
  const faults = await faultsOf(`version: 1\nmethods:\n${bad.join('\n')}\n`);
  expect(faults).toHaveLength(21);
  expect(faults.at(-1)).toBe('and 80 more');
  for (const fault of faults) expect(fault).toMatch(/^[^\p{Cc}]{1,300}$/u);
});

test('the format follows from the name', () => {
  expect(['postern-policy.yaml', 'a.yml', 'policy', 'a.json', 'A.JSON'].map(policyFormatOf)).toEqual([
    'yaml',
    'yaml',
    'yaml',
    'json',
    'json',
  ]);
});

describe('G24 the JSON Schema', () => {
  const validate = new Ajv({ strict: true }).compile(
    JSON.parse(file('proto/postern/v1/policy.schema.json')) as object,
  );
  /** The document as a schema sees it, or undefined where no parser gives one. */
  const documentOf = (text: string, format: string): unknown => {
    try {
      return format === 'json' ? (JSON.parse(text) as unknown) : (parse(text) as unknown);
    } catch {
      return undefined;
    }
  };
  /** What is lost before a schema sees it: how a value is written, and members that are repeated. */
  const BEYOND =
    /version 1\.0|YAML 1\.1|begins with a digit|anchor|merge|tag|directive|tab$|separator|NEL|carriage|byte order|twice|surrogate|KiB|129/;

  test('accepts every good file, and refuses every bad one whose fault it can see', () => {
    const seen = { good: 0, bad: 0 };
    for (const { name, format, text, verdicts } of vectors.files) {
      if (typeof text !== 'string') continue;
      const document = documentOf(text, format);
      if (verdicts !== null) {
        expect([name, validate(document), validate.errors]).toEqual([name, true, null]);
        seen.good += 1;
      } else if (document !== undefined && !BEYOND.test(name)) {
        expect([name, validate(document)]).toEqual([name, false]);
        seen.bad += 1;
      }
    }
    expect(seen.good).toBeGreaterThan(8);
    expect(seen.bad).toBeGreaterThan(35);
  });
});
