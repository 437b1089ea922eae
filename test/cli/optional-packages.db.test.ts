import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { exitCodes } from '../../src/cli/exit-codes.ts';
import { endEveryPostern, runPostern } from '../support/run-postern.ts';
import { Collector } from '../support/collector.ts';
import { anyPorts } from '../support/service-environment.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'postern-optional-'));
});
afterAll(async () => {
  await endEveryPostern();
  rmSync(folder, { recursive: true });
});

const hook = new URL('../support/without-optional-packages.mjs', import.meta.url).href;
const environment = anyPorts;
/** Runs the program in an installation without the optional packages. */
const postern = (words: readonly string[], more: Record<string, string> = {}) =>
  runPostern(words, {
    nodeOptions: [`--import=${hook}`],
    environment: { ...environment, POSTERN_DATA_DIR: join(folder, 'data'), ...more },
  });

test('doctor reports each missing package, with the exit code of serve', async () => {
  const embedded = await postern(['doctor']);
  expect(embedded.exitCode).toBe(exitCodes.settings);
  expect(embedded.stdout).toMatch(/^FAIL {2}database +.*embedded PostgreSQL.*\n +.*DATABASE_URL /m);
  const traced = await postern(['doctor', '--json'], { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });
  expect(traced.exitCode).toBe(exitCodes.settings);
  expect(JSON.parse(traced.stdout)).toContainEqual({
    about: 'tracing',
    verdict: 'fault',
    says: expect.stringContaining('OTEL_EXPORTER_OTLP_ENDPOINT'),
    advice: expect.stringMatching(/optional dependencies/),
  });
  expect(existsSync(join(folder, 'data'))).toBe(false);
});

test('R38 doctor says whether the collector takes traces and metrics', async () => {
  const collector = new Collector();
  const taking = await collector.start();
  const doctor = (url: string) =>
    runPostern(['doctor'], {
      environment: {
        ...environment,
        POSTERN_DATA_DIR: join(folder, 'data'),
        OTEL_EXPORTER_OTLP_ENDPOINT: url,
        OTEL_METRICS_EXPORTER: 'otlp',
      },
    });
  const works = await doctor(taking);
  collector.stop();
  expect(works.exitCode).toBe(exitCodes.ok);
  expect(works.stdout).toContain(`traces go to ${taking}/v1/traces\n`);
  expect(works.stdout).toContain(`metrics go to ${taking}/v1/metrics\n`);
  const { exitCode, stdout } = await doctor('http://127.0.0.1:1');
  expect(exitCode).toBe(exitCodes.ok);
  expect(stdout).toMatch(/^warn +tracing +traces cannot be sent to http:\/\/127\.0\.0\.1:1\/v1\/traces: /m);
});

test('serve without a database and without the embedded PostgreSQL fails and creates nothing', async () => {
  const { exitCode, stdout, stderr } = await postern(['serve']);
  expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.settings, stdout: '' });
  expect(stderr).toMatch(/^postern: .*embedded PostgreSQL.*\n.*DATABASE_URL /m);
  expect(existsSync(join(folder, 'data'))).toBe(false);
});

test.each([[['serve']], [['sidecar', '--upstream', '127.0.0.1:1']]])(
  '%j with tracing, but without its packages, is a fault of the settings',
  async (words) => {
    const { exitCode, stdout, stderr } = await postern(words, {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: exitCodes.settings, stdout: '' });
    expect(stderr).toMatch(/^postern: .*OTEL_EXPORTER_OTLP_ENDPOINT.*\n.*optional dependencies .*\n$/m);
  },
);
