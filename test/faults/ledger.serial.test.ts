import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { until } from '../support/wait-for.ts';

interface Report {
  readonly fault: string;
  readonly faults: readonly string[];
  readonly acknowledged: { readonly logins: number; readonly refreshes: number; readonly revokes: number };
}

const soak = fileURLToPath(new URL('../soak/faults-soak.mjs', import.meta.url));
const reports: Report[] = [];
let errors = '';
let child: ReturnType<typeof spawn>;
let ended: Promise<unknown>;

/**
 * One short round of the soak test, which describes each fault and the ledger. Other tests run at the same time, so its
 * time limits are 1.5 times as long as when it runs alone.
 */
beforeAll(() => {
  child = spawn(process.execPath, [soak, '--slack', '1.5'], { stdio: ['ignore', 'pipe', 'pipe'] });
  ended = new Promise((resolve) => child.once('close', resolve));
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) reports.push(JSON.parse(line) as Report);
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
});
afterAll(async () => {
  if (child.exitCode === null) child.kill('SIGTERM');
  await ended;
});

test.each([
  ['D03 every connection terminated ten times a second', 'terminated'],
  ['D01 D03 PostgreSQL killed in the middle of its work', 'crashed'],
  ['D10 O06 PostgreSQL frozen', 'frozen'],
  ['D10 connections that never respond and never end', 'black hole'],
  ['D09 a slow network that cuts connections', 'slow and cut'],
  ['D12 a read-only database', 'read-only'],
  ['D14 a full disk', 'disk full'],
  ['D14 no connections left', 'no connections left'],
  ['D13 the service killed and started again', 'service killed'],
])(
  '%s: nothing acknowledged is lost, and the service recovers within 2 s',
  async (_name, fault) => {
    const find = () => reports.find((report) => report.fault === fault);
    await until(() => find() !== undefined || child.exitCode !== null, `${fault} is over`, 60_000);
    const report = find();
    expect(errors).toBe('');
    expect(report?.faults).toEqual([]);
    expect(report?.acknowledged.refreshes).toBeGreaterThan(0);
    expect(report?.acknowledged.logins).toBeGreaterThan(0);
  },
  70_000,
);
