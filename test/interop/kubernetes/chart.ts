import { fileURLToPath } from 'node:url';

import { parseAllDocuments, stringify } from 'yaml';

import { runTool, type ToolEnd } from '../run-tool.ts';

export const root = fileURLToPath(new URL('../../..', import.meta.url));
export const chart = `${root}deploy/helm/postern`;

/** A helm that `go install` has built takes Kubernetes 1.20 for granted, which the chart refuses. */
export const KUBERNETES = '1.34.4';

export type Values = Readonly<Record<string, unknown>>;

export interface Container {
  readonly name: string;
  readonly args: readonly string[];
  readonly restartPolicy?: string;
  readonly env: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string; readonly key: string } };
  }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}
interface Item {
  readonly key: string;
  readonly path: string;
}
export interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName: string; readonly items?: readonly Item[] };
  readonly projected?: {
    readonly sources: readonly { readonly serviceAccountToken: { readonly path: string } }[];
  };
}
export interface PodSpec {
  readonly serviceAccountName?: string;
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes: readonly Volume[];
}
export interface KubernetesObject {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly template?: { readonly spec: PodSpec } };
}

const minimal: Values = {
  issuer: 'https://auth.example.com',
  image: { repository: 'registry.example.com/postern' },
  tls: { secretName: 'postern-tls' },
};

/** Combinations of values that must render. */
export const combinations: Readonly<Record<string, Values>> = {
  minimal,
  'plaintext in a mesh': { ...minimal, tls: {}, insecure: true },
  'everything on': {
    ...minimal,
    image: { repository: 'registry.example.com/postern', pullSecrets: ['registry'] },
    tls: {
      certManager: { issuerRef: { name: 'ca', kind: 'ClusterIssuer' }, dnsNames: ['auth.example.com'] },
      clientCaSecret: 'clients',
    },
    database: { caSecret: { name: 'database-ca' } },
    masterKey: { previousSecret: { name: 'previous' } },
    console: { enabled: true },
    autoscaling: { enabled: true },
    serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
    prometheusRule: { enabled: true },
    dashboard: { enabled: true },
    externalSecrets: {
      enabled: true,
      storeRef: { name: 'vault', kind: 'ClusterSecretStore' },
      databaseUrl: { key: 'postern/service', property: 'url' },
      ownerUrl: { key: 'postern/owner' },
      masterKey: { key: 'postern/master-key' },
    },
    relay: { enabled: true, settings: { POSTERN_LOG_LEVEL: 'debug' } },
    settings: {
      POSTERN_API_KEYS_MAX: 1_000_000,
      POSTERN_OAUTH: true,
      POSTERN_ACCESS_TOKEN_TTL: '5m',
      POSTERN_LEGACY_HS256_UNTIL: '2099-01-01',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example.com',
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: 0.1,
    },
    secretSettings: {
      POSTERN_LEGACY_HS256_SECRET: { name: 'legacy', key: 'secret' },
      OTEL_EXPORTER_OTLP_HEADERS: { name: 'collector', key: 'headers' },
    },
    policy: 'postern-policy',
    networkPolicy: {
      from: [{ namespaceSelector: { matchLabels: { team: 'shop' } } }],
      egressPorts: [6432, 443],
    },
    podLabels: { team: 'platform' },
    podAnnotations: { 'example.com/note': 'text' },
    nodeSelector: { 'kubernetes.io/arch': 'amd64' },
    tolerations: [{ key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' }],
  },
  'a digest, no migration, nothing optional': {
    ...minimal,
    image: { repository: 'registry.example.com/postern', digest: `sha256:${'a'.repeat(64)}` },
    migrate: { enabled: false },
    settings: { POSTERN_MIGRATE: 'off' },
    pdb: { enabled: false },
    networkPolicy: { enabled: false },
  },
  'certificates of a public authority, and a mesh that joins every pod': {
    ...minimal,
    serviceMonitor: { enabled: true, tlsConfig: { serverName: 'auth.example.com' } },
    migrate: {
      podLabels: { 'sidecar.istio.io/inject': 'false' },
      podAnnotations: { 'linkerd.io/inject': 'disabled' },
    },
  },
  'a shared secret': {
    ...minimal,
    settings: { POSTERN_ALGORITHM: 'HS256' },
    secretSettings: { POSTERN_SECRET: { name: 'shared', key: 'secret' } },
  },
};

export function helm(words: readonly string[], values: Values): Promise<ToolEnd> {
  // Helm reads YAML 1.1, where `off` without quotes is a boolean.
  const text = stringify(values, { version: '1.1' });
  return runTool('helm', [...words, '--kube-version', KUBERNETES, '--values', '-'], text);
}

/** The text of the chart with these values. */
export async function render(values: Values, ...words: string[]): Promise<string> {
  const end = await helm(['template', 'postern', chart, '--namespace', 'postern', ...words], values);
  if (end.exitCode !== 0) throw new Error(end.stderr);
  return end.stdout;
}

/** Numbers as `0440` mean what they mean to Kubernetes. */
export function objectsOf(text: string): KubernetesObject[] {
  return parseAllDocuments(text, { version: '1.1' })
    .map((document) => document.toJS() as KubernetesObject | null)
    .filter((object) => object !== null);
}

export function find(objects: readonly KubernetesObject[], kind: string, name: string): KubernetesObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found;
}

/** Every container of the objects, with the pod that it is in. */
export function containersOf(
  objects: readonly KubernetesObject[],
): { container: Container; pod: PodSpec; of: string }[] {
  return objects.flatMap(({ kind, metadata, spec }) => {
    const pod = spec?.template?.spec;
    if (!pod) return [];
    return [...(pod.initContainers ?? []), ...pod.containers].map((container) => ({
      container,
      pod,
      of: `${kind} ${metadata.name}`,
    }));
  });
}
