import { expect, test } from '@jest/globals';

import { describeWith } from '../tool.ts';
import { chart, combinations, helm, objectsOf, render, type Values } from './chart.ts';

const minimal = combinations['minimal'] ?? {};

describeWith('helm', 'the values of the Helm chart', () => {
  test.each<[string, Values, string]>([
    ['no issuer', { issuer: '' }, "'/issuer'"],
    ['no image', { image: {} }, "'/image/repository'"],
    ['neither TLS nor a mesh', { tls: {} }, 'tls.secretName'],
    ['TLS and plaintext', { insecure: true }, 'insecure: true has no effect'],
    ['mutual TLS without TLS', { tls: { clientCaSecret: 'clients' }, insecure: true }, 'tls.clientCaSecret'],
    ['an unknown value', { replica: 3 }, "'replica'"],
    ['an unknown value further down', { autoscaling: { minReplica: 3 } }, "'minReplica'"],
    ['a misspelt setting', { settings: { POSTERN_ISUER: 'x' } }, "'POSTERN_ISUER'"],
    ['a setting that the chart sets', { settings: { POSTERN_GRPC_LISTEN: 'x' } }, "'POSTERN_GRPC_LISTEN'"],
    ['a secret as a plain value', { settings: { POSTERN_SECRET: 'x' } }, "'POSTERN_SECRET'"],
    ['a misspelt setting of a relay', { relay: { settings: { POSTERN_LOG: 'x' } } }, "'POSTERN_LOG'"],
    [
      'a word that YAML reads as a boolean',
      { settings: { POSTERN_MIGRATE: false } },
      "'/settings/POSTERN_MIGRATE'",
    ],
    [
      'a duration without a unit',
      { settings: { POSTERN_ACCESS_TOKEN_TTL: 300 } },
      'POSTERN_ACCESS_TOKEN_TTL',
    ],
    [
      'an octal mode as a number',
      { settings: { POSTERN_SOCKET_MODE: 432 } },
      "'/settings/POSTERN_SOCKET_MODE'",
    ],
    ['a file that no volume has', { settings: { POSTERN_POLICY_FILE: '/x' } }, "'POSTERN_POLICY_FILE'"],
    [
      'headers of a collector as a plain value',
      { settings: { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=x' } },
      "'OTEL_EXPORTER_OTLP_HEADERS'",
    ],
    ['a default that null removes', { autoscaling: { maxReplicas: null } }, "missing property 'maxReplicas'"],
    ['a part that null removes', { pdb: null }, "missing property 'pdb'"],
    ['a tag in the name of the image', { image: { repository: 'r.example.com/p:1' } }, "'/image/repository'"],
    ['a tag that is none', { image: { repository: 'r', tag: '1: x' } }, "'/image/tag'"],
    ['an issuer with a query', { issuer: 'https://x.example.com?y' }, "'/issuer'"],
    ['a label that selects the pods', { podLabels: { 'app.kubernetes.io/name': 'x' } }, '/podLabels/'],
    [
      'a peer that Kubernetes does not know',
      { networkPolicy: { from: [{ podselector: {} }] } },
      'podselector',
    ],
    [
      'fewer pods at most than at least',
      { autoscaling: { enabled: true, minReplicas: 9 } },
      'autoscaling.minReplicas is greater',
    ],
    [
      'a percentage of no request',
      { autoscaling: { enabled: true }, resources: { requests: { cpu: null } } },
      'autoscaling needs resources.requests.cpu',
    ],
    [
      'one ExternalSecret for two roles',
      {
        externalSecrets: { enabled: true, storeRef: { name: 'vault' }, databaseUrl: { key: 'url' } },
        migrate: { urlSecret: { name: 'postern-database' } },
      },
      'different names',
    ],
    ['a delay that is too long', { shutdownDelay: '90s' }, "'/shutdownDelay'"],
    ['a digest that is none', { image: { repository: 'r', digest: 'abc' } }, "'/image/digest'"],
    [
      'HS256 without its secret',
      { settings: { POSTERN_ALGORITHM: 'HS256' } },
      'secretSettings.POSTERN_SECRET',
    ],
    [
      'HS256 with a relay',
      {
        settings: { POSTERN_ALGORITHM: 'HS256' },
        secretSettings: { POSTERN_SECRET: { name: 'shared', key: 'secret' } },
        relay: { enabled: true },
      },
      'remove relay.enabled',
    ],
    [
      'external secrets without a store',
      { externalSecrets: { enabled: true } },
      'externalSecrets.storeRef.name',
    ],
    [
      'external secrets without a key',
      { externalSecrets: { enabled: true, storeRef: { name: 'vault' } } },
      'externalSecrets.databaseUrl.key',
    ],
  ])('R02 refuses %s, and names the value', async (_what, wrong, named) => {
    const end = await helm(['template', 'postern', chart], { ...minimal, ...wrong });
    expect(end).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining(named) });
  });

  test.each([
    ['postern', 'postern'],
    ['auth', 'auth-postern'],
    ['my.postern', 'my-postern'],
    ['9postern', 'postern-9postern'],
    ['p'.repeat(53), 'p'.repeat(50)],
  ])('R02 the release %s has a Service with a name that Kubernetes accepts: %s', async (release, name) => {
    const end = await helm(['template', release, chart], minimal);
    const services = objectsOf(end.stdout).filter(({ kind }) => kind === 'Service');
    expect(services.map(({ metadata }) => metadata.name)).toEqual([name, `${name}-headless`]);
  });

  test('R02 values of which a file has only the comments count as absent', async () => {
    const empty = { settings: null, secretSettings: null, relay: { settings: null } };
    expect(await render({ ...minimal, ...empty })).toBe(await render(minimal));
  });
});
