import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
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

/** A mapping of so many levels. */
const indented = (levels: number) =>
  Array.from({ length: levels }, (_, level) => `${' '.repeat(level)}a:\n`).join('');

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

test('G25 what has no end, or is no file, neither starts nor stops the program', async () => {
  const unusable: [make: () => void, fault: string][] = [
    [() => mkdirSync(path), 'the file is not a regular file'],
    [() => execFileSync('mkfifo', [path]), 'the file is not a regular file'],
    [() => symlinkSync('/dev/zero', path), 'the file is not a regular file'],
    [() => writeFileSync(path, `version: 1\nmethods: {}\n#${' '.repeat(256 * 1024)}`), 'the file is larger'],
    [() => writeFileSync(path, Buffer.from([0x76, 0xff, 0xfe])), 'the file is not text'],
    [() => writeFileSync(path, '['.repeat(200_000)), 'the file is nested too deeply'],
    [() => writeFileSync(path, '["]", '.repeat(40_000)), 'the file is nested too deeply'],
    [() => writeFileSync(path, '{a: '.repeat(60_000)), 'the file is nested too deeply'],
    [() => writeFileSync(path, '- '.repeat(100_000)), 'the file is nested too deeply'],
    [() => writeFileSync(path, 'x:\n' + '? '.repeat(100_000)), 'the file is nested too deeply'],
    [() => writeFileSync(path, indented(700)), 'the file is nested too deeply'],
  ];
  write('public');
  const file = await open();
  for (const [make, fault] of unusable) {
    rmSync(path);
    make();
    await expect(open()).rejects.toThrow(`the policy file is invalid: ${fault}`);
    events = [];
    await file.reload();
    expect(events).toEqual([{ kind: 'unusable', faults: [expect.stringContaining(fault)] }]);
    expect(ruleOf(file.policy, HOURS)).toBe('public');
    rmSync(path, { recursive: true });
    write('public');
    await file.reload();
  }
  rmSync(path);
  writeFileSync(join(folder, 'other.yaml'), `version: 1\nmethods:\n  ${HOURS}: {}\n`);
  // As kubelet replaces a ConfigMap.
  symlinkSync('other.yaml', path);
  await file.reload();
  expect(ruleOf(file.policy, HOURS)).not.toBe('public');
  file.close();
});

test('G25 a changed file is used; one with a fault never replaces a good one, and is reported once', async () => {
  write('public');
  const file = await open();
  await file.reload();
  expect(events).toEqual([]);

  write('{roles: [admin]}');
  await file.reload();
  expect(events).toEqual([{ kind: 'reloaded' }]);
  const rule = { audience: null, roles: ['admin'], actors: [], minAcr: null, maxAuthAgeSeconds: null };
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
