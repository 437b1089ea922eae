import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { describeWith } from '../tool.ts';
import { until } from '../until.ts';

interface Report {
  readonly event: string;
  readonly faults: readonly string[];
  readonly gapMs: number;
  readonly leaderGapMs: number;
  readonly laterMs: readonly number[];
  readonly acknowledged: { readonly logins: number; readonly refreshes: number; readonly revokes: number };
  readonly verified: Readonly<Record<string, number>>;
}

const soak = fileURLToPath(new URL('../../soak/patroni.mjs', import.meta.url));
const EVENTS = [
  'keys rotate',
  'switched over',
  'leader paused',
  'standby killed',
  'etcd killed',
  'services killed',
];

/** One run of the soak test on one cluster. It describes the load, the events, and what is compared after each. */
describeWith('patroni', 'PostgreSQL under Patroni', () => {
  const reports: Report[] = [];
  let errors = '';
  let child: ReturnType<typeof spawn>;
  let ended: Promise<unknown>;

  beforeAll(() => {
    child = spawn(process.execPath, [soak, '--only', EVENTS.join()], { stdio: ['ignore', 'pipe', 'pipe'] });
    ended = once(child, 'close');
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
  }, 30_000);

  async function reportOf(event: string): Promise<Report> {
    const find = () => reports.find((one) => one.event === event);
    await until(() => Promise.resolve(find() !== undefined || child.exitCode !== null), 170_000);
    const report = find();
    if (report === undefined) throw new Error(errors);
    return report;
  }

  test.each([
    ['R20 R23 the leader is killed while signing keys rotate and a purge runs', EVENTS[0]],
    ['R20 the leader hands over', EVENTS[1]],
    ['R21 the leader is frozen and comes back when another was elected', EVENTS[2]],
    ['R20 the synchronous standby is killed', EVENTS[3]],
    ['R20 etcd is killed for longer than Patroni retries', EVENTS[4]],
    ['R22 the leader is killed, and both services are killed and started before there is another', EVENTS[5]],
  ])(
    '%s: nothing acknowledged is lost, nothing revoked revived, and verification never fails',
    async (_title, event = '') => {
      const report = await reportOf(event);
      process.stderr.write(`patroni: ${JSON.stringify(report)}\n`);
      expect(report.faults).toEqual([]);
      const { logins, refreshes, revokes } = report.acknowledged;
      expect(Math.min(logins, refreshes, revokes)).toBeGreaterThan(0);
      expect(report.verified['sidecar OK']).toBeGreaterThan(0);
      expect(report.verified['sidecar TOKEN_REVOKED']).toBeGreaterThan(0);
    },
    180_000,
  );
});
