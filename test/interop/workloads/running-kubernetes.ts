import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type Authority, writeIssued } from '../../support/certificates.ts';
import { freePort } from '../running-postgres.ts';
import { toolPath } from '../tool.ts';
import { until } from '../until.ts';
import { askJson, type JsonAnswer } from './https-json.ts';
import { startProgram } from './started-program.ts';

const ADMIN_TOKEN = 'an-administrator-of-the-cluster';

export interface RunningKubernetes {
  /** Of the service account tokens, as clusters name it by default. */
  readonly issuer: string;
  readonly url: string;
  readonly get: (path: string, headers?: Record<string, string>) => Promise<JsonAnswer>;
  readonly create: (path: string, object: object) => Promise<Record<string, unknown>>;
  readonly remove: (path: string) => Promise<void>;
  /** Server-side apply, as `kubectl apply --server-side`, which refuses unknown fields. @returns the answer of any status */
  readonly apply: (object: ClusterObject, options?: { dryRun?: boolean }) => Promise<JsonAnswer>;
  /** What `kubectl get --raw PATH` prints. */
  readonly raw: (path: string) => Promise<string>;
  /** A token as kubelet requests it for a projected volume of a pod. */
  readonly tokenOf: (pod: Pod, audience: string) => Promise<string>;
  /** A token for the API server itself. */
  readonly apiTokenOf: (pod: Pod) => Promise<string>;
  stop(): Promise<void>;
}

export interface ClusterObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

/** A pod that waits for a node: its identity is all that is wanted of it. */
export interface Pod {
  readonly namespace: string;
  readonly account: string;
  readonly name: string;
  readonly uid: string;
}

interface Resource {
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
}

/** An API server with etcd, without nodes and controllers. */
export async function startKubernetes(folder: string, authority: Authority): Promise<RunningKubernetes> {
  const [clientPort, peerPort, port] = [await freePort(), await freePort(), await freePort()];
  const issuer = 'https://kubernetes.default.svc.cluster.local';
  const etcdUrl = `http://127.0.0.1:${clientPort}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const etcd = await startProgram(
    toolPath('etcd'),
    [
      ...['--data-dir', join(folder, 'etcd'), '--unsafe-no-fsync', '--log-level', 'warn'],
      ...['--listen-client-urls', etcdUrl, '--advertise-client-urls', etcdUrl],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `default=${peerUrl}`],
    ],
    async () => (await fetch(`${etcdUrl}/health`)).ok,
  );
  const url = `https://127.0.0.1:${port}`;
  const ask = (path: string, options: Parameters<typeof askJson>[2] = {}) =>
    askJson(`${url}${path}`, authority.cert, options);
  const asAdmin = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const words = serverWords(folder, authority, { etcdUrl, port, issuer });
  const isReady = async () => (await ask('/readyz', { headers: asAdmin })).status === 200;
  const server = await startProgram(toolPath('kube-apiserver'), words, isReady, { limitMs: 120_000 }).catch(
    async (error: unknown) => {
      await etcd.stop();
      throw error;
    },
  );
  const create: RunningKubernetes['create'] = async (path, object) => {
    const headers = { ...asAdmin, 'content-type': 'application/json' };
    const { status, body } = await ask(path, { method: 'POST', headers, body: JSON.stringify(object) });
    if (status !== 201) throw new Error(`${path}: ${JSON.stringify(body)}`);
    return body;
  };
  const requestToken = async ({ namespace, account, name, uid }: Pod, audiences?: string[]) => {
    const { status } = await create(`/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        ...(audiences && { audiences }),
        expirationSeconds: 600,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    });
    return (status as { token: string }).token;
  };
  /** Where objects of a kind are; undefined until the server knows the kind. */
  const placeOf = async ({ apiVersion, kind, metadata }: ClusterObject) => {
    const base = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
    const { resources = [] } = (await ask(base, { headers: asAdmin })).body as { resources?: Resource[] };
    const found = resources.find((resource) => resource.kind === kind && !resource.name.includes('/'));
    if (!found) return undefined;
    const namespace = found.namespaced ? `/namespaces/${metadata.namespace ?? 'default'}` : '';
    return `${base}${namespace}/${found.name}/${metadata.name}`;
  };
  return {
    issuer,
    url,
    async apply(object, { dryRun = false } = {}) {
      const place = await until(() => placeOf(object));
      const query = `fieldManager=postern&fieldValidation=Strict${dryRun ? '&dryRun=All' : ''}`;
      const headers = { ...asAdmin, 'content-type': 'application/apply-patch+yaml' };
      return ask(`${place}?${query}`, { method: 'PATCH', headers, body: JSON.stringify(object) });
    },
    get: (path, headers = {}) => ask(path, { headers }),
    create,
    async remove(path) {
      const { status, body } = await ask(path, { method: 'DELETE', headers: asAdmin });
      if (status !== 200 && status !== 202) throw new Error(`${path}: ${JSON.stringify(body)}`);
    },
    raw: async (path) => JSON.stringify((await ask(path, { headers: { ...asAdmin, accept: '*/*' } })).body),
    tokenOf: (pod, audience) => requestToken(pod, [audience]),
    apiTokenOf: (pod) => requestToken(pod),
    async stop() {
      await server.stop();
      await etcd.stop();
    },
  };
}

function serverWords(
  folder: string,
  authority: Authority,
  { etcdUrl, port, issuer }: { etcdUrl: string; port: number; issuer: string },
): string[] {
  const { cert, key } = writeIssued(folder, 'apiserver', authority.issue({ dns: ['localhost'] }));
  const [keyFile, tokenFile] = [join(folder, 'accounts.key'), join(folder, 'tokens.csv')];
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(keyFile, privateKey.export({ type: 'pkcs1', format: 'pem' }));
  writeFileSync(tokenFile, `${ADMIN_TOKEN},admin,admin,"system:masters"\n`);
  return [
    `--etcd-servers=${etcdUrl}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1',
    `--secure-port=${port}`,
    `--tls-cert-file=${cert}`,
    `--tls-private-key-file=${key}`,
    `--cert-dir=${folder}`,
    `--service-account-issuer=${issuer}`,
    `--service-account-key-file=${keyFile}`,
    `--service-account-signing-key-file=${keyFile}`,
    `--token-auth-file=${tokenFile}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.96.0.0/24',
    // Its controller is not here, and without one no pod could be made.
    '--disable-admission-plugins=ServiceAccount',
  ];
}

/** Makes a namespace, a service account and a pod of it. */
export async function createPod(
  { create }: Pick<RunningKubernetes, 'create'>,
  { namespace, account }: Pick<Pod, 'namespace' | 'account'>,
): Promise<Pod> {
  const object = (kind: string, name: string, more: object = {}) => ({
    apiVersion: 'v1',
    kind,
    metadata: { name },
    ...more,
  });
  const name = `${account}-0`;
  await create('/api/v1/namespaces', object('Namespace', namespace));
  await create(`/api/v1/namespaces/${namespace}/serviceaccounts`, object('ServiceAccount', account));
  const spec = { serviceAccountName: account, containers: [{ name: 'main', image: account }] };
  const { metadata } = await create(`/api/v1/namespaces/${namespace}/pods`, object('Pod', name, { spec }));
  return { namespace, account, name, uid: (metadata as { uid: string }).uid };
}
