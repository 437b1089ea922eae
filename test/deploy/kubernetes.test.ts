import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';

import { loadSettings } from '../../src/config/load-settings.ts';
import { readPolicy } from '../../src/policy/read-policy.ts';
import { upstreamFault } from '../../src/compose/sidecar/sidecar.ts';

interface Container {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}
interface Volume {
  readonly name: string;
  readonly configMap?: { readonly name: string };
  readonly projected?: {
    readonly sources: readonly { readonly serviceAccountToken: { readonly path: string } }[];
  };
}
interface KubernetesObject {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data: Readonly<Record<string, string>>;
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly serviceAccountName: string;
        readonly initContainers: readonly Container[];
        readonly volumes: readonly Volume[];
      };
    };
  };
}

const text = readFileSync(new URL('../../deploy/kubernetes/orders.yaml', import.meta.url), 'utf8');
const objects = parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);
const find = (kind: string) => {
  const found = objects.find((object) => object.kind === kind);
  if (!found) throw new Error(`no ${kind}`);
  return found;
};

test('W30 the sidecar of the manifest has a token file, a policy, an encrypted upstream and no secret', async () => {
  const { spec } = find('Deployment').spec.template;
  const [sidecar] = spec.initContainers;
  if (!sidecar) throw new Error('no sidecar');
  const settings = loadSettings(
    Object.fromEntries(sidecar.env.map(({ name, value }) => [name, value ?? ''])),
    { for: 'sidecar' },
  );
  expect(settings.warnings).toEqual([]);
  expect(settings.clientSecret).toBeNull();
  expect(text).not.toContain('secretKeyRef');
  expect(sidecar.args.slice(0, 2)).toEqual(['sidecar', '--upstream']);
  expect(upstreamFault(settings, sidecar.args[2] ?? '')).toBeNull();

  // Each file is where a volume puts it.
  const volumeAt = (path: string | null) => {
    const mount = sidecar.volumeMounts.find(({ mountPath }) => mountPath === dirname(path ?? ''));
    return spec.volumes.find(({ name }) => name === mount?.name);
  };
  const [source] = volumeAt(settings.tokenFile)?.projected?.sources ?? [];
  expect(settings.tokenFile).toBe(`/var/run/secrets/tokens/${source?.serviceAccountToken.path}`);
  expect(volumeAt(settings.policyFile)?.configMap?.name).toBe(find('ConfigMap').metadata.name);
  expect(spec.serviceAccountName).toBe(find('ServiceAccount').metadata.name);
  const [[name, policy] = ['', '']] = Object.entries(find('ConfigMap').data);
  expect(settings.policyFile).toBe(`/etc/postern/${name}`);
  expect((await readPolicy(policy, 'yaml')).methods.size).toBe(3);
});
