import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test } from '@jest/globals';
import { stringify } from 'yaml';

import { settingRows } from '../../../src/config/settings-table.ts';
import { honouredNames } from '../../../src/config/telemetry/telemetry-names.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { upstreamFault } from '../../../src/compose/sidecar/sidecar.ts';
import type { SettingsPurpose } from '../../../src/config/setting-values.ts';
import { createAuthority } from '../../support/certificates.ts';
import { runTool, type ToolEnd } from '../run-tool.ts';
import { describeWith } from '../tool.ts';
import {
  chart,
  combinations,
  type Container,
  containersOf,
  find,
  helm,
  KUBERNETES,
  objectsOf,
  type PodSpec,
  render,
  root,
  type Volume,
} from './chart.ts';

const minimal = combinations['minimal'] ?? {};
const names = [
  ...Object.values(settingRows).flatMap(({ name, isSecret }) => (isSecret ? [name, `${name}_FILE`] : [name])),
  ...honouredNames,
];

/** The settings of a container as Postern reads them, without secrets; a value from the pod is that of one core. */
function environmentOf({ env }: Container): Record<string, string> {
  const plain = env.filter(({ name }) => !name.endsWith('_FILE') || name === 'POSTERN_TOKEN_FILE');
  return Object.fromEntries(plain.map(({ name, value }) => [name, value ?? '1']));
}

/** The files that the volumes of a pod put into a container, by their path. */
function filesIn(
  pod: PodSpec,
  container: Container,
  secrets: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Map<string, string> {
  const filesOf = ({ secret, projected }: Volume): [string, string][] => {
    const content = secrets[secret?.secretName ?? ''] ?? {};
    const tokens = projected?.sources.map(({ serviceAccountToken: { path } }) => path) ?? [];
    return [
      ...(secret?.items?.map(({ key, path }): [string, string] => [path, content[key] ?? '']) ??
        Object.entries(content)),
      ...tokens.map((path): [string, string] => [path, 'a token']),
    ];
  };
  return new Map(
    container.volumeMounts.flatMap(({ name, mountPath }) =>
      filesOf(pod.volumes.find((volume) => volume.name === name) ?? { name }).map(
        ([path, text]) => [`${mountPath}/${path}`, text] as const,
      ),
    ),
  );
}

describeWith('helm', 'the Helm chart', () => {
  test.each(Object.entries(combinations))(
    'R02 renders and passes helm lint --strict: %s',
    async (_name, values) => {
      const lint = await helm(['lint', '--strict', chart], values);
      expect(lint).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('0 chart(s) failed') });
      const text = await render(values);
      expect(await render(values)).toBe(text);
      for (const { container, pod, of } of containersOf(objectsOf(text))) {
        const unknown = container.env.map(({ name }) => name).filter((name) => !names.includes(name));
        expect([of, unknown]).toEqual([of, []]);
        // Whatever a container mounts is a volume of its pod, and the other way round.
        const mounted = container.volumeMounts.map(({ name }) => name).sort();
        expect([of, mounted]).toEqual([of, pod.volumes.map(({ name }) => name).sort()]);
      }
    },
  );

  test('R04 the settings of the pods are accepted, and each file is where a volume puts it', async () => {
    const objects = objectsOf(await render(combinations['everything on'] ?? {}));
    const authority = createAuthority('cluster');
    const { cert, key } = authority.issue({ dns: ['postern.postern.svc'] });
    /** What is in the Secrets, by their name and key; without the key where all of it is mounted. */
    const secrets: Readonly<Record<string, Readonly<Record<string, string>>>> = {
      'postern-database': { url: 'postgres://postern@127.0.0.1/postern' },
      'postern-database-owner': { url: 'postgres://owner@127.0.0.1/postern' },
      'postern-master-key': { key: randomBytes(32).toString('base64') },
      previous: { key: randomBytes(32).toString('base64') },
      // A file that kubectl made a Secret of ends with a line end.
      collector: { headers: 'api-key=A%20SECRET\n' },
      legacy: { secret: randomBytes(32).toString('hex') },
      'postern-tls': { 'tls.crt': cert, 'tls.key': key, 'ca.crt': authority.cert },
      clients: { 'ca.crt': authority.cert },
      'database-ca': { 'ca.crt': authority.cert },
    };
    const load = (kind: string, name: string, purpose: SettingsPurpose) => {
      const pod = find(objects, kind, name).spec?.template?.spec;
      const [container] = pod?.containers ?? [];
      if (!pod || !container) throw new Error(`${name} has no container`);
      const files = filesIn(pod, container, secrets);
      const readFile = (path: string) => {
        const text = files.get(path);
        if (text === undefined) throw Object.assign(new Error(path), { code: 'ENOENT' });
        return text;
      };
      const environment = Object.fromEntries(
        container.env.map(({ name, value, valueFrom: { secretKeyRef } = {} }) => [
          name,
          value ?? (secretKeyRef ? secrets[secretKeyRef.name]?.[secretKeyRef.key] : '1'),
        ]),
      );
      return { settings: loadSettings(environment, { for: purpose, readFile }), container, files };
    };

    const service = load('Deployment', 'postern', 'serve');
    expect(service.settings).toMatchObject({
      // `off` would keep pods of the release before from starting once the Job has migrated.
      migrate: 'auto',
      maxApiKeys: 1_000_000,
      accessTokenTtlSeconds: 300,
      hashConcurrency: 1,
      shutdownDelaySeconds: 10,
      insecure: false,
      policyFile: '/etc/postern/policy/postern-policy.yaml',
      console: true,
      consoleListen: { kind: 'tcp', host: '127.0.0.1', port: 8082 },
    });
    expect(service.settings.databaseUrl?.reveal()).toBe(secrets['postern-database']?.['url']);
    expect(service.settings.masterKeyPrevious?.base64()).toEqual(
      Buffer.from(secrets['previous']?.['key'] ?? '', 'base64'),
    );

    const relay = load('Deployment', 'postern-relay', 'sidecar');
    const [command, , upstream = ''] = relay.container.args;
    expect([command, upstream]).toEqual(['sidecar', 'dns:///postern-headless.postern.svc:50051']);
    expect(upstreamFault(relay.settings, upstream)).toBeNull();
    expect(relay.settings).toMatchObject({ relay: true, clientSecret: null, logLevel: 'debug' });
    expect(relay.files.has(relay.settings.tokenFile ?? '')).toBe(true);

    const migration = load('Job', 'postern-migrate', 'command');
    expect(migration.settings.databaseUrl?.reveal()).toBe(secrets['postern-database-owner']?.['url']);
    expect(migration.container.args).toEqual(['migrate', '--grant-to', 'postern']);
  });

  test('R05 the migration runs before an install or upgrade, with a Secret and an account that exist then', async () => {
    const objects = objectsOf(await render(combinations['everything on'] ?? {}));
    const job = find(objects, 'Job', 'postern-migrate');
    expect(job.metadata.annotations).toMatchObject({
      'helm.sh/hook': 'pre-install,pre-upgrade',
      'helm.sh/hook-delete-policy': 'before-hook-creation,hook-succeeded',
    });
    expect(job.spec?.template?.spec).not.toHaveProperty('serviceAccountName');
    const hooks = objects.filter(({ metadata }) => metadata.annotations?.['helm.sh/hook'] !== undefined);
    // The Secrets of running pods are no hooks, which Helm deletes before it makes them again.
    expect(hooks.map(({ kind, metadata }) => `${kind} ${metadata.name}`).sort()).toEqual([
      'ExternalSecret postern-database-owner',
      'Job postern-migrate',
    ]);
    const weight = (name: string) =>
      Number(
        hooks.find(({ metadata }) => metadata.name === name)?.metadata.annotations?.['helm.sh/hook-weight'],
      );
    expect(weight('postern-database-owner')).toBeLessThan(weight('postern-migrate'));
    // Only the migration has the rights of the owner.
    const owners = containersOf(objects).filter(({ pod }) =>
      JSON.stringify(pod).includes('postern-database-owner'),
    );
    expect(owners.map(({ of }) => of)).toEqual(['Job postern-migrate']);
  });

  test('R06 verification keeps its addresses while no pod is ready for logins', async () => {
    const objects = objectsOf(await render({ ...minimal, relay: { enabled: true } }));
    const probes = (name: string) => find(objects, 'Deployment', name).spec?.template?.spec.containers[0];
    expect(find(objects, 'Service', 'postern-headless').spec).toMatchObject({
      clusterIP: 'None',
      publishNotReadyAddresses: true,
    });
    expect(find(objects, 'Service', 'postern').spec).not.toHaveProperty('publishNotReadyAddresses');
    expect(probes('postern')).toMatchObject({
      livenessProbe: { httpGet: { path: '/livez' } },
      readinessProbe: { httpGet: { path: '/readyz' } },
    });
    expect(probes('postern-relay')).toMatchObject({
      livenessProbe: { httpGet: { path: '/livez' } },
      readinessProbe: { httpGet: { path: '/readyz/verification' } },
    });
  });

  test('R07 the probes of a sidecar pass when it can verify, and fail otherwise', async () => {
    const text = readFileSync(join(root, 'deploy/helm/postern-sidecar/templates/_sidecar.tpl'), 'utf8');
    const [, script = ''] = /\$ready := "(.*)" -/.exec(text) ?? [];
    let answer = 200;
    const paths: unknown[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url);
      response.writeHead(answer).end();
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const probe = async () => {
      const child = spawn(process.execPath, ['-e', script.replace(':8081', `:${port}`)], {
        stdio: 'inherit',
      });
      const [exitCode] = (await once(child, 'exit')) as [number];
      return exitCode;
    };
    expect(await probe()).toBe(0);
    answer = 503;
    expect(await probe()).toBe(1);
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
    expect(await probe()).toBe(1);
    expect(paths).toEqual(['/readyz/verification', '/readyz/verification']);
  });

  /** The chart of a service that uses the library chart, with these changes to its template. */
  async function renderOrders(change: (template: string) => string): Promise<ToolEnd> {
    const folder = mkdtempSync(join(tmpdir(), 'postern-chart-'));
    const orders = join(folder, 'orders');
    await cp(`${root}deploy/helm/postern-sidecar`, join(orders, 'charts/postern-sidecar'), {
      recursive: true,
    });
    const dependencies = [{ name: 'postern-sidecar', version: '*' }];
    writeFileSync(
      join(orders, 'Chart.yaml'),
      stringify({ apiVersion: 'v2', name: 'orders', version: '1.0.0', dependencies }),
    );
    mkdirSync(join(orders, 'templates'));
    const template = readFileSync(join(root, 'test/interop/kubernetes/orders-deployment.yaml'), 'utf8');
    writeFileSync(join(orders, 'templates/deployment.yaml'), change(template));
    const end = await runTool('helm', ['template', 'orders', orders, '--kube-version', KUBERNETES]);
    rmSync(folder, { recursive: true });
    return end;
  }

  test('R07 a sidecar has a token or a client certificate', async () => {
    const withCertificate = (template: string) =>
      template.replace(/"issuer" .*/, '"upstreamCert" "orders-client" "tokenUpstream" "postern:50051"');
    const end = await renderOrders(withCertificate);
    expect(end).toMatchObject({ exitCode: 0, stderr: '' });
    const objects = objectsOf(end.stdout);
    const pod = find(objects, 'Deployment', 'orders').spec?.template?.spec;
    expect(pod?.initContainers?.[0]?.env.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['POSTERN_UPSTREAM_CERT', 'POSTERN_UPSTREAM_KEY']),
    );
    expect(end.stdout).not.toContain('POSTERN_TOKEN_FILE');
    expect(pod?.initContainers?.[0]?.args[2]).toBe('--token-upstream=postern:50051');
    const mounted = pod?.initContainers?.[0]?.volumeMounts.map(({ name }) => name).sort();
    expect(mounted).toEqual(pod?.volumes.map(({ name }) => name).sort());
    expect(await renderOrders((template) => template.replace(/"issuer" .*/, ''))).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('issuer or upstreamCert is required'),
    });
  });

  test('R07 a number among the settings of a sidecar keeps its digits', async () => {
    // Numbers of a values file are of this type.
    const end = await renderOrders((template) =>
      template.replace('"POSTERN_LOG_LEVEL" "warn"', '"POSTERN_MAX_CONNECTIONS" 1e6'),
    );
    const pod = find(objectsOf(end.stdout), 'Deployment', 'orders').spec?.template?.spec;
    expect(pod?.initContainers?.[0]?.env).toContainEqual({
      name: 'POSTERN_MAX_CONNECTIONS',
      value: '1000000',
    });
  });

  test('R07 the named templates of postern-sidecar put a sidecar without a secret into the pod of another chart', async () => {
    const end = await renderOrders((template) => template);
    expect(end).toMatchObject({ exitCode: 0, stderr: '' });
    const pod = find(objectsOf(end.stdout), 'Deployment', 'orders').spec?.template?.spec;
    const sidecar = pod?.initContainers?.[0];
    if (!pod || !sidecar) throw new Error('no sidecar');
    expect(sidecar.restartPolicy).toBe('Always');
    expect(end.stdout).not.toContain('secretKeyRef');
    const settings = loadSettings(environmentOf(sidecar), { for: 'sidecar' });
    expect(settings).toMatchObject({
      clientSecret: null,
      grpcListen: { kind: 'unix', path: '/run/postern/grpc.sock' },
    });
    const upstream = 'dns:///postern-headless.postern.svc:50051';
    expect(sidecar.args).toEqual(['sidecar', `--upstream=${upstream}`]);
    expect(upstreamFault(settings, upstream)).toBeNull();
    expect(JSON.stringify(pod.volumes)).toContain(
      '"audience":"https://auth.example.com","expirationSeconds":600',
    );
    const mounted = sidecar.volumeMounts.map(({ name }) => name).sort();
    expect(mounted).toEqual(pod.volumes.map(({ name }) => name).sort());
    // The page shows what has been rendered here.
    const page = readFileSync(join(root, 'docs/kubernetes.md'), 'utf8');
    const tried = readFileSync(join(root, 'test/interop/kubernetes/orders-deployment.yaml'), 'utf8');
    const shown = page.match(/^ .*include "postern\.sidecar.*$/gm) ?? [];
    expect(shown).toHaveLength(3);
    for (const line of shown) expect(tried).toContain(line.trim());
    // The service reaches the socket and nothing else of the sidecar.
    expect(pod.containers[0]?.volumeMounts).toEqual([{ name: 'postern-socket', mountPath: '/run/postern' }]);
  });
});
