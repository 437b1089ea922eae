import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, expect, test } from '@jest/globals';

import { runPostern } from '../support/run-postern.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-policy-'));
const file = join(folder, 'policy.yaml');
/** The descriptors of Postern's own services. */
const descriptors = fileURLToPath(new URL('../../proto/postern.binpb', import.meta.url));
afterAll(() => rmSync(folder, { recursive: true }));

const check = (text: string, ...words: string[]) => {
  writeFileSync(file, text);
  return runPostern(['policy', 'check', file, ...words]);
};

test('G28 policy check compares a file with the methods of a descriptor set, and fails a build', async () => {
  const good = await check('version: 1\notherwise: {}\nmethods: {/postern.v1.AuthService/Login: public}\n');
  expect([good.exitCode, good.stdout]).toEqual([0, "1 rule; other methods have the rule 'otherwise'\n"]);

  const bad = await check('version: 1\nmethods: {/a.B/C: {role: [admin]}}\n');
  expect([bad.exitCode, bad.stdout]).toEqual([7, '']);
  expect(bad.stderr).toContain("line 2: /a.B/C has an unknown member 'role'; did you mean 'roles'?");
  const faulty = await check('version: 2\nmethods: {/a.B/C: {}, /a.B/D: none}\n');
  expect(faulty.stderr.split('\n').filter((line) => line.startsWith('  - line '))).toHaveLength(2);

  const text =
    'version: 1\nmethods:\n  /postern.v1.AuthService/Login: public\n  /postern.v1.AuthService/Logn: public\n  /grpc.health.v1.Health/Check: public\n';
  const partial = await check(text, '--descriptor-set', descriptors, '--json');
  expect(partial.exitCode).toBe(7);
  const report = JSON.parse(partial.stdout) as { rules: number; unlisted: string[]; unknown: string[] };
  expect(report.rules).toBe(3);
  expect(report.unknown).toEqual(['/postern.v1.AuthService/Logn']);
  expect(report.unlisted).toContain('/postern.v1.AuthService/VerifyToken');
  expect(report.unlisted).not.toContain('/postern.v1.AuthService/Login');

  const junk = await check(text, '--descriptor-set', file);
  expect(junk.exitCode).toBe(5);
});

test('policy envoy and policy gateway print what a proxy takes', async () => {
  writeFileSync(file, 'version: 1\nmethods: {/a.B/C: {roles: [admin]}}\n');
  const envoy = await runPostern(['policy', 'envoy', file, '--cluster', 'upstream']);
  expect([envoy.exitCode, envoy.stdout]).toEqual([0, expect.stringContaining('roles_all: admin')]);
  const words = ['--gateway', 'public', '--backend', 'shop:50052', '--check', 'postern:50051'];
  const gateway = await runPostern(['policy', 'gateway', file, ...words]);
  expect([gateway.exitCode, gateway.stdout]).toEqual([0, expect.stringContaining('kind: SecurityPolicy')]);
  expect((await runPostern(['policy', 'gateway', file, ...words.slice(0, -1), 'postern'])).exitCode).toBe(2);
});
