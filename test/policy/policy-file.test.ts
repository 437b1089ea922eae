import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeEach, expect, test } from '@jest/globals';

import { ruleOf } from '../../src/policy/method-policy.ts';
import { PolicyFile, type PolicyFileEvent } from '../../src/policy/policy-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-policy-'));
const path = join(folder, 'postern-policy.yaml');
const HOURS = '/shop.Orders/Hours';
let events: PolicyFileEvent[];

const write = (rule: string) => writeFileSync(path, `version: 1\nmethods:\n  ${HOURS}: ${rule}\n`);
const open = (isServed?: (method: string) => boolean) =>
  PolicyFile.open(path, { report: (event) => events.push(event), ...(isServed && { isServed }) });

beforeEach(() => {
  events = [];
  rmSync(path, { force: true });
});
afterAll(() => rmSync(folder, { recursive: true }));

test('G25 a file with a fault, or none, fails the start', async () => {
  await expect(open()).rejects.toThrow('ENOENT');
  write('private');
  await expect(open()).rejects.toThrow('the policy file is invalid: line 3: ');
  write('public');
  await expect(open((method) => method !== HOURS)).rejects.toThrow(`no service has the method '${HOURS}'`);
  writeFileSync(path, Buffer.from([0x76, 0xff, 0xfe]));
  await expect(open()).rejects.toThrow('not text');
});

test('G25 a changed file is used; one with a fault never replaces a good one, and is reported once', async () => {
  write('public');
  const file = await open();
  await file.reload();
  expect(events).toEqual([]);

  write('{roles: [admin]}');
  await file.reload();
  expect(events).toEqual([{ kind: 'reloaded' }]);
  const rule = { audience: null, roles: ['admin'], actors: [] };
  expect(ruleOf(file.policy, HOURS)).toEqual(rule);

  write('{rols: [admin]}');
  await file.reload();
  await file.reload();
  const faults = [`line 3: ${HOURS} has an unknown member 'rols'; did you mean 'roles'?`];
  expect(events.slice(1)).toEqual([{ kind: 'unusable', faults }]);
  rmSync(path);
  await file.reload();
  expect(events).toHaveLength(3);
  expect(ruleOf(file.policy, HOURS)).toEqual(rule);

  write('{}');
  await file.reload();
  expect(events.at(-1)).toEqual({ kind: 'reloaded' });
  expect(ruleOf(file.policy, HOURS)).toEqual({ ...rule, roles: [] });
  file.close();
});
