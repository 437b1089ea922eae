import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { beforeAll, expect, test } from '@jest/globals';

interface Report {
  readonly attack: string;
  readonly end: string;
  readonly rssGrowthKiB: number;
  readonly bystander: { readonly calls: number; readonly failed: number };
  readonly alive: boolean;
  readonly well: boolean;
}

const soak = fileURLToPath(new URL('../soak/http2-soak.mjs', import.meta.url));
let reports: Report[];
let exitCode: number | null;

/** One short round of test/soak/http2-soak.mjs, whose attacks are a table in test/soak/http2-attacks.mjs. */
beforeAll(async () => {
  const child = spawn(process.execPath, [soak], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  const output = await text(child.stdout);
  [exitCode] = (await ended) as [number | null];
  reports = output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Report);
}, 90_000);

const find = (attack: string) => reports.find((report) => report.attack === attack);

test('N01 N04 N08 the process survives every attack and keeps serving another client', () => {
  const attacks = reports.filter(({ attack }) => attack !== 'all');
  expect(attacks.length).toBeGreaterThanOrEqual(30);
  expect(attacks.filter(({ well }) => !well)).toEqual([]);
  expect(exitCode).toBe(0);
});

test.each([
  ['rapid reset', /^GOAWAY|^closed/],
  ['CONTINUATION without end', /^GOAWAY|^closed/],
  ['bad HPACK: an index that is not there', /^GOAWAY 9$/],
  ['PING frames at a pace that the server can answer', /^GOAWAY 11$/],
  ['SETTINGS frames at a pace that the server can answer', /^GOAWAY 11$/],
  ['HTTP/1.1 where HTTP/2 is spoken', /^GOAWAY|^closed/],
])('N08 %s ends the connection', (attack, end) => {
  expect(find(attack)?.end).toMatch(end);
});

test('N02 twenty bombs of 16 MB cost less than 10 MB', () => {
  expect(find('gzip bombs')?.rssGrowthKiB).toBeLessThan(10 * 1024);
});
