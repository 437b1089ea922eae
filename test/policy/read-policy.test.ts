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

describe('M42 a level in a rule', () => {
  const METHOD = '/shop.Orders/Refund';
  const yaml = (rule: string) => `version: 1\nmethods:\n  ${METHOD}: ${rule}\n`;
  const ruleIn = async (text: string, format: 'yaml' | 'json') =>
    (await readPolicy(text, format)).methods.get(METHOD);

  test('is read alike from YAML and JSON', async () => {
    const expected = { minAcr: 'aal2', maxAuthAgeSeconds: 300 };
    expect(await ruleIn(yaml('{min_acr: aal2, max_auth_age: 300}'), 'yaml')).toMatchObject(expected);
    expect(await ruleIn(yaml('\n    min_acr: "aal2"\n    max_auth_age: 300'), 'yaml')).toMatchObject(
      expected,
    );
    const json = { version: 1, methods: { [METHOD]: { min_acr: 'aal2', max_auth_age: 300 } } };
    expect(await ruleIn(JSON.stringify(json), 'json')).toMatchObject(expected);
    const none = { minAcr: null, maxAuthAgeSeconds: null };
    expect(await ruleIn(yaml('{roles: [admin]}'), 'yaml')).toMatchObject(none);
    expect(await ruleIn(yaml('{min_acr: aal1}'), 'yaml')).toMatchObject({ ...none, minAcr: 'aal1' });
    expect(await ruleIn(yaml('{max_auth_age: 4294967295}'), 'yaml')).toMatchObject({
      maxAuthAgeSeconds: 4_294_967_295,
    });
  });

  test.each(['aal3', 'AAL2', '2', '""', '[aal2]', '', 'true', '"aal2 "'])('is not %j', async (level) => {
    expect(await faultsOf(yaml(`{min_acr: ${level}}`))).toEqual([
      `line 3: ${METHOD}: min_acr is not a level; write aal1 or aal2`,
    ]);
  });

  const ages = [
    '0',
    '-1',
    '5m',
    '"300"',
    '0300',
    '0x12c',
    '3_00',
    '300.0',
    '3e2',
    '5:00',
    '+300',
    '',
    '[300]',
    'true',
  ];
  test.each([...ages, '4294967296', '~'])('has no age %j', async (age) => {
    expect(await faultsOf(yaml(`{max_auth_age: ${age}}`))).toEqual([
      `line 3: ${METHOD}: max_auth_age is not a number of seconds; write a whole number, 1 to 4294967295, without quotes`,
    ]);
  });

  test.each(['0', '-1', '"300"', '1.5', 'null', 'true', '1e30'])('has no age %j in JSON', async (age) => {
    const text = `{"version": 1, "methods": {"${METHOD}": {"max_auth_age": ${age}}}}`;
    await expect(readPolicy(text, 'json')).rejects.toThrow('max_auth_age is not a number of seconds');
  });

  test('in another spelling is a fault', async () => {
    expect(await faultsOf(yaml('{min_arc: aal2, maxAuthAge: 300}'))).toEqual([
      `line 3: ${METHOD} has an unknown member 'min_arc'; did you mean 'min_acr'?`,
      expect.stringContaining(`line 3: ${METHOD} has an unknown member 'maxAuthAge'`),
    ]);
  });
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
