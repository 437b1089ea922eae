import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { createAuthority } from '../../support/certificates.ts';
import { describeWith, toolPath } from '../tool.ts';
import {
  type ClusterObject,
  type RunningKubernetes,
  startKubernetes,
} from '../workloads/running-kubernetes.ts';
import { combinations, KUBERNETES, objectsOf, type PodSpec, render, root } from './chart.ts';

type Manifest = ClusterObject & { readonly spec?: { readonly template?: Template } };
interface Template {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: PodSpec;
}

const plain = join(root, 'deploy/kubernetes');
const manifests = readdirSync(plain).filter((name) => name.endsWith('.yaml') && name !== 'values.yaml');
const manifestsOf = (text: string) => objectsOf(text) as unknown as Manifest[];
const read = (name: string) => manifestsOf(readFileSync(join(plain, name), 'utf8'));
/** The objects of each file, and of the chart with each combination of values. */
const sources: readonly [string, () => Promise<Manifest[]>][] = [
  ...manifests.map((name): [string, () => Promise<Manifest[]>] => [name, () => Promise.resolve(read(name))]),
  ...Object.entries(combinations).map(([name, values]): [string, () => Promise<Manifest[]>] => [
    `the chart, ${name}`,
    async () => manifestsOf(await render(values)),
  ]),
];
const podOf = ({ metadata }: Manifest, { metadata: { labels }, spec }: Template): ClusterObject & object => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: metadata.name, namespace: 'restricted', ...{ labels } },
  ...{ spec },
});

// What the chart needs is here too, since its objects are rendered.
const describeDryRun = (tests: () => void) =>
  describeWith('helm', 'with helm', () =>
    describeWith('kubernetes', 'a real Kubernetes API server', () =>
      describeWith('kubeconform', 'with the CRDs of other projects', tests),
    ),
  );

describeDryRun(() => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-api-server-'));
  let cluster: RunningKubernetes | undefined;
  beforeAll(async () => {
    cluster = await startKubernetes(folder, createAuthority('cluster'));
    const all = (await Promise.all(sources.map(([, objects]) => objects()))).flat();
    const crds = join(toolPath('kube-schemas'), 'crds');
    for (const name of readdirSync(crds)) {
      const crd = JSON.parse(readFileSync(join(crds, name), 'utf8')) as ClusterObject & {
        spec: { group: string; names: { kind: string } };
      };
      const { group, names } = crd.spec;
      const isUsed = all.some(
        ({ apiVersion, kind }) => apiVersion.startsWith(`${group}/`) && kind === names.kind,
      );
      if (isUsed) await expectAccepted(crd);
    }
    const namespaces = new Set(all.flatMap(({ metadata }) => metadata.namespace ?? []));
    for (const name of namespaces)
      await expectAccepted({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    const restricted = { name: 'restricted', ...{ labels } };
    await expectAccepted({ apiVersion: 'v1', kind: 'Namespace', metadata: restricted });
  }, 180_000);
  afterAll(async () => {
    await cluster?.stop();
    rmSync(folder, { recursive: true });
  });

  const applied: RunningKubernetes['apply'] = (object, options) => {
    if (!cluster) throw new Error('the API server did not start');
    return cluster.apply(object, options);
  };

  async function expectAccepted(object: ClusterObject, options: { dryRun?: boolean } = {}): Promise<void> {
    const { status, body } = await applied(object, options);
    const refused = status >= 300 ? body['message'] : null;
    expect([object.kind, object.metadata.name, refused]).toEqual([object.kind, object.metadata.name, null]);
  }

  test('R47 is the version that the charts are rendered for', async () => {
    // A server that was built without the flags of a release names no version.
    const { stdout } = await promisify(execFile)('go', ['version', '-m', toolPath('kube-apiserver')]);
    const version = /^\s+mod\s+k8s\.io\/kubernetes\s+(\S+)/m.exec(stdout)?.[1];
    console.info(`the manifests are applied to a Kubernetes API server ${version}`);
    expect(version).toBe(`v${KUBERNETES}`);
  });

  test.each(sources)(
    'R47 accepts every object of %s, and its pods in a restricted namespace',
    async (_name, objectsOfIt) => {
      const objects = await objectsOfIt();
      expect(objects.length).toBeGreaterThan(0);
      for (const object of objects) {
        await expectAccepted(object, { dryRun: true });
        const template = object.spec?.template;
        if (template) await expectAccepted(podOf(object, template), { dryRun: true });
      }
    },
  );

  const deployment = () => {
    const found = read('postern.yaml').find(({ kind }) => kind === 'Deployment');
    if (!found?.spec?.template) throw new Error('postern.yaml has no Deployment');
    return {
      found,
      template: structuredClone(found.spec.template) as Template & {
        spec: { securityContext: Record<string, unknown> };
      },
    };
  };
  const verdict = async (object: ClusterObject) => {
    const { status, body } = await applied(object, { dryRun: true });
    return `${status} ${String(body['message'])}`;
  };

  test('R47 refuses a pod that may run as root, or makes system calls without a filter', async () => {
    const { found, template } = deployment();
    const { runAsNonRoot, ...withoutUser } = template.spec.securityContext;
    expect(runAsNonRoot).toBe(true);
    template.spec.securityContext = withoutUser;
    expect(await verdict(podOf(found, template))).toMatch(
      /^403 .*violates PodSecurity.*runAsNonRoot != true/,
    );
    const { seccompProfile, ...withoutFilter } = template.spec.securityContext;
    expect(seccompProfile).toBeDefined();
    template.spec.securityContext = { ...withoutFilter, runAsNonRoot };
    expect(await verdict(podOf(found, template))).toMatch(/^403 .*violates PodSecurity.*seccompProfile/);
  });

  test('R47 refuses an unknown field and an impossible value, of Kubernetes and of other projects', async () => {
    const { found } = deployment();
    const misspelt = { ...found, spec: { ...found.spec, maxUnavailible: 1 } };
    expect(await verdict(misspelt)).toMatch(/unknown field|field not declared in schema/);
    const rendered = manifestsOf(await render(combinations['everything on'] ?? {}));
    const change = (wanted: string, spec: (before: never) => object) => {
      const object = rendered.find(({ kind }) => kind === wanted);
      if (!object) throw new Error(`no ${wanted}`);
      return verdict({ ...object, ...{ spec: spec(object.spec as never) } });
    };
    expect(await change('ServiceMonitor', (spec: object) => ({ ...spec, endpoint: [] }))).toMatch(
      /unknown field|field not declared in schema/,
    );
    expect(await change('HorizontalPodAutoscaler', (spec: object) => ({ ...spec, minReplicas: 9 }))).toMatch(
      /^422 .*maxReplicas/,
    );
  });
});
