import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, expect, test } from '@jest/globals';

import { policyFindings, tokenFileFindings } from '../../../src/cli/doctor/file-findings.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('G25 doctor reads the policy file as serve does', async () => {
  const policyFile = join(folder, 'policy.yaml');
  expect(await policyFindings({ policyFile: null })).toEqual([]);
  expect(await policyFindings({ policyFile })).toMatchObject([
    { verdict: 'fault', message: expect.stringContaining('ENOENT') },
  ]);
  writeFileSync(policyFile, 'version: 1\nmethods: {/a.B/C: {rols: [admin]}}\n');
  const [fault] = await policyFindings({ policyFile });
  expect(fault).toMatchObject({ verdict: 'fault' });
  expect(JSON.stringify(fault)).toContain("unknown member 'rols'");
  writeFileSync(policyFile, 'version: 1\nmethods: {/a.B/C: {}}\n');
  expect(await policyFindings({ policyFile })).toEqual([
    {
      check: 'settings',
      verdict: 'ok',
      message: 'POSTERN_POLICY_FILE has rules for 1 methods; other methods are refused',
    },
  ]);
});

test('W31 doctor says whether the token file of a workload can be used, and shows none of it', async () => {
  const tokenFile = join(folder, 'token');
  expect(await tokenFileFindings({ tokenFile: null })).toEqual([]);
  expect(await tokenFileFindings({ tokenFile })).toMatchObject([
    {
      verdict: 'warning',
      message: `POSTERN_TOKEN_FILE: the token file ${tokenFile} cannot be read (ENOENT)`,
      advice: 'mount a token of this workload there',
    },
  ]);
  writeFileSync(tokenFile, 'canary one');
  const findings = await tokenFileFindings({ tokenFile });
  expect(findings).toMatchObject([{ verdict: 'warning' }]);
  expect(JSON.stringify(findings)).not.toContain('canary');
  writeFileSync(tokenFile, 'canary\n');
  expect(await tokenFileFindings({ tokenFile })).toEqual([
    { check: 'settings', verdict: 'ok', message: 'POSTERN_TOKEN_FILE holds a token' },
  ]);
});
