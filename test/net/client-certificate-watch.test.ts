import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';

import { watchClientCertificate } from '../../src/net/tls/client-certificate-watch.ts';
import { createAuthority, writeIssued } from '../support/certificates.ts';

const DAY_MS = 86_400_000;
const authority = createAuthority('ours');
let folder: string;
let warnings: number[];
let stop: () => void;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'postern-watch-'));
  warnings = [];
  jest.useFakeTimers();
});
afterEach(() => {
  stop();
  jest.useRealTimers();
  rmSync(folder, { recursive: true });
});

const issueFor = (days: number) =>
  writeIssued(folder, 'shown', authority.issue({ validForMs: days * DAY_MS + 3_600_000 })).cert;
const daysLeft = () => warnings.map((endsMs) => Math.floor((endsMs - Date.now()) / DAY_MS));
const watch = (path: string) => (stop = watchClientCertificate(path, (endsMs) => warnings.push(endsMs)));

test('N09 an expiring certificate causes a warning once a day from 14 days before, until it is renewed', () => {
  watch(issueFor(16));
  expect(warnings).toEqual([]);
  jest.advanceTimersByTime(2 * DAY_MS);
  expect(warnings).toEqual([]);
  jest.advanceTimersByTime(DAY_MS);
  expect(daysLeft()).toEqual([13]);
  jest.advanceTimersByTime(2 * DAY_MS);
  expect(warnings).toHaveLength(3);
  issueFor(90);
  jest.advanceTimersByTime(3 * DAY_MS);
  expect(warnings).toHaveLength(3);
  // Another expiring one causes a warning within ten minutes; the warnings go on after it has expired.
  issueFor(1);
  jest.advanceTimersByTime(600_000);
  expect(warnings).toHaveLength(4);
  jest.advanceTimersByTime(2 * DAY_MS);
  expect(warnings).toHaveLength(6);
  expect(daysLeft().at(-1)).toBeLessThan(0);
});

test('N09 an unusable file is skipped until it is usable', () => {
  const path = issueFor(3);
  rmSync(path);
  watch(path);
  jest.advanceTimersByTime(600_000);
  writeFileSync(path, 'junk');
  jest.advanceTimersByTime(600_000);
  expect(warnings).toEqual([]);
  issueFor(3);
  jest.advanceTimersByTime(600_000);
  expect(daysLeft()).toEqual([3]);
});
