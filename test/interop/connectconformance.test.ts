import { fileURLToPath } from 'node:url';

import { expect, test } from '@jest/globals';

import { runTool } from './run-tool.ts';
import { describeWith, toolPath } from './tool.ts';

const file = (name: string) => fileURLToPath(new URL(name, import.meta.url));

describeWith('connectconformance', 'the conformance suite of the Connect project', () => {
  test('H05 every unary case of Connect and gRPC-Web on HTTP/1.1 passes', async () => {
    const descriptors = toolPath('connectconformance').replace(
      /bin\/connectconformance$/,
      'conformance.binpb',
    );
    const server = [process.execPath, file('conformance-server.mjs'), descriptors];
    const words = ['--conf', file('conformance.yaml'), '--mode', 'server', '--', ...server];
    const { exitCode, stdout, stderr } = await runTool('connectconformance', words);
    const failures = `${stdout}\n${stderr}`.split('\n').filter((line) => line.startsWith('FAILED'));
    expect([exitCode, failures]).toEqual([0, []]);
    const [, cases = '0'] = /Total cases: (\d+)/.exec(stdout + stderr) ?? [];
    expect(Number(cases)).toBeGreaterThanOrEqual(500);
  }, 120_000);
});
