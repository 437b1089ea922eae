import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, expect, test } from '@jest/globals';

import { runTool } from '../run-tool.ts';
import { describeWith, toolPath } from '../tool.ts';
import { combinations, KUBERNETES, render, root } from './chart.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-manifests-'));
afterAll(() => rmSync(folder, { recursive: true }));

const plain = join(root, 'deploy/kubernetes');
const manifests = readdirSync(plain).filter((name) => name.endsWith('.yaml') && name !== 'values.yaml');
const rendered: readonly [string, () => Promise<string>][] = [
  ...Object.entries(combinations).map(
    ([name, values]) => [`the chart, ${name}`, () => render(values)] as const,
  ),
  ...manifests.map((name) => [name, () => Promise.resolve(readFileSync(join(plain, name), 'utf8'))] as const),
].map(([name, text]) => [name, text]);

describeWith('helm', 'the plain manifests', () => {
  test('R08 are what the chart renders: node deploy/kubernetes/render.mjs', async () => {
    await promisify(execFile)(process.execPath, [join(plain, 'render.mjs'), folder], {
      env: { ...process.env, HELM: toolPath('helm') },
    });
    for (const name of readdirSync(folder)) {
      expect(readFileSync(join(plain, name), 'utf8')).toBe(readFileSync(join(folder, name), 'utf8'));
    }
    expect(readdirSync(folder).sort()).toEqual(['migrate.yaml', 'postern.yaml']);
  });
});

describeWith('kubeconform', 'by the schemas of Kubernetes and of the CRDs', () => {
  const conform = (text: string) =>
    runTool(
      'kubeconform',
      [
        '-strict',
        '-summary',
        ...['-kubernetes-version', KUBERNETES],
        ...['-schema-location', `${toolPath('kube-schemas')}/{{ .ResourceKind }}{{ .KindSuffix }}.json`],
      ],
      text,
    );

  test.each(rendered)('R08 every field is known and of its type: %s', async (_name, text) => {
    const end = await conform(await text());
    expect(end).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/Valid: [1-9]\d*, Invalid: 0, Errors: 0, Skipped: 0/),
    });
  });

  test.each([
    ['postern.yaml', 'readOnlyRootFilesystem:', 'readOnlyRootFileSystem:'],
    ['postern.yaml', 'maxUnavailable: 0 }', 'maxUnavailable: [] }'],
    ['envoy-gateway.yaml', 'contextExtensions:', 'contextExtension:'],
    ['contour.yaml', 'failOpen: false', 'failOpen: never'],
    ['istio.yaml', 'action: CUSTOM', 'action: ASK'],
  ])('R08 the check finds a fault in %s: %s', async (name, right, wrong) => {
    const text = readFileSync(join(plain, name), 'utf8');
    expect(text).toContain(right);
    expect((await conform(text.replace(right, wrong))).exitCode).toBe(1);
  });
});

describeWith('kube-score', 'by the recommendations of kube-score', () => {
  const ignored = [
    // Throttling would delay verifications.
    ['--ignore-container-cpu-limit'],
    // A version and a digest do not move, and a node can start a pod while the registry is away.
    ['--ignore-test', 'container-image-pull-policy'],
    // Spread by topologySpreadConstraints, which kube-score does not count.
    ['--ignore-test', 'deployment-has-host-podantiaffinity'],
  ].flat();
  const score = (path: string) =>
    runTool('kube-score', [
      'score',
      ...ignored,
      '--exit-one-on-warning',
      '--kubernetes-version',
      'v1.34',
      path,
    ]);

  // Without what makes it available and closed to others there is a lot to say.
  const scored = Object.entries(combinations).filter(([name]) => !name.endsWith('nothing optional'));
  test.each(scored)('R08 the chart has nothing critical and no warning: %s', async (name, values) => {
    const path = join(folder, `${name.replaceAll(/\W+/g, '-')}.yml`);
    writeFileSync(path, await render(values));
    expect(await score(path)).toMatchObject({ exitCode: 0, stderr: '' });
    writeFileSync(path, (await render(values)).replaceAll('readOnlyRootFilesystem: true', ''));
    expect(await score(path)).toMatchObject({ exitCode: 1 });
  });
});
