import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

import { createAuthority } from '../../support/certificates.ts';
import { startPostern } from '../../support/run-postern.ts';
import { anyPorts } from '../../support/service-environment.ts';
import { invoke } from '../../support/test-service.ts';
import { find, objectsOf, type PodSpec, root } from '../kubernetes/chart.ts';
import { processOf } from '../kubernetes/container-process.ts';
import { describeWith } from '../tool.ts';
import { until } from '../until.ts';
import {
  claimsOf,
  type ExchangeFixture,
  headerOf,
  openExchangeFixture,
  OWN,
  withCutSignature,
  withoutAlgorithm,
} from './exchange-fixture.ts';
import {
  type ClusterObject,
  createPod,
  type Pod,
  type RunningKubernetes,
  startKubernetes,
} from './running-kubernetes.ts';

describeWith('kubernetes', 'tokens of pods, from a real Kubernetes API server', () => {
  const authority = createAuthority('cluster');
  let fixture: ExchangeFixture;
  const cleanups: (() => Promise<void>)[] = [];
  let cluster: RunningKubernetes;
  let pod: Pod;
  let accountId: string;
  beforeAll(async () => {
    fixture = await openExchangeFixture({ POSTERN_OAUTH: 'on', POSTERN_HTTP_RPC: 'auth' });
    cleanups.push(() => fixture.close());
    cluster = await startKubernetes(fixture.folder, authority);
    cleanups.push(() => cluster.stop());
    pod = await createPod(cluster, { namespace: 'shop', account: 'billing' });
    accountId = String((await fixture.json('service', 'create', 'billing', '--role', 'reader'))['client_id']);
  }, 180_000);
  afterAll(async () => {
    for (const cleanup of cleanups.reverse()) await cleanup();
  });

  /** Trusts the cluster and binds the pod, for one test. */
  async function trusting(source: readonly string[], run: () => Promise<void>): Promise<void> {
    await fixture.json('issuer', 'add', cluster.issuer, '--kind', 'kubernetes', ...source);
    try {
      await fixture.json(
        ...['service', 'bind', 'billing', '--issuer', cluster.issuer],
        ...['--claim', 'sub=system:serviceaccount:shop:billing', '--claim', 'kubernetes.io/namespace=shop'],
      );
      await run();
    } finally {
      await fixture.json('issuer', 'delete', cluster.issuer);
    }
  }
  async function pastedKeys(): Promise<readonly string[]> {
    const file = join(fixture.folder, 'cluster-keys.json');
    writeFileSync(file, await cluster.raw('/openid/v1/jwks'));
    return ['--jwks', file];
  }

  test('with pasted keys, its token is exchanged for one of the bound account', async () => {
    await trusting(await pastedKeys(), async () => {
      const token = await cluster.tokenOf(pod, OWN);
      // As the API server makes it: no typ, jti since Kubernetes 1.32.
      expect(headerOf(token)).toEqual({ alg: 'RS256', kid: expect.any(String) as unknown });
      expect(claimsOf(token)).toMatchObject({
        aud: [OWN],
        jti: expect.any(String) as unknown,
        'kubernetes.io': { namespace: 'shop', pod: { name: pod.name, uid: pod.uid } },
      });
      expect(await fixture.verified(token)).toMatchObject({
        subject: accountId,
        subject_name: 'billing',
        subject_type: 'SERVICE',
        roles: ['reader'],
      });
    });
  });

  test('R49 the sidecar of orders.yaml verifies tokens with the token of its pod and no secret', async () => {
    const manifest = readFileSync(join(root, 'deploy/kubernetes/orders.yaml'), 'utf8')
      .replaceAll('https://auth.example.com', OWN)
      .replaceAll('auth.example.com:443', fixture.service.grpcAddress);
    const objects = objectsOf(manifest);
    const template = find(objects, 'Deployment', 'orders').spec?.template as unknown as {
      spec: Omit<PodSpec, 'volumes'> & {
        volumes: { projected?: { sources: { serviceAccountToken: { audience: string } }[] } }[];
      };
    };
    for (const object of objects) await accepted(object as unknown as ClusterObject);
    const metadata = { name: 'orders-0', namespace: 'shop' };
    const { uid } = await accepted({ apiVersion: 'v1', kind: 'Pod', ...template, metadata });
    const [projected] = template.spec.volumes.flatMap(({ projected: found }) => found?.sources ?? []);
    const audience = projected?.serviceAccountToken.audience ?? '';
    const podToken = await cluster.tokenOf(
      { namespace: 'shop', account: 'orders', name: 'orders-0', uid },
      audience,
    );
    const [sidecar] = template.spec.initContainers ?? [];
    const policy = find(objects, 'ConfigMap', 'orders-policy') as unknown as { data: Record<string, string> };
    if (!sidecar) throw new Error('there is no sidecar');
    const { words, environment } = processOf(sidecar, {
      folder: join(fixture.folder, 'sidecar'),
      files: {
        '/var/run/secrets/tokens/postern': podToken,
        '/etc/postern/postern-policy.yaml': policy.data['postern-policy.yaml'] ?? '',
      },
    });
    // Here the service is on this machine, and the connection to it plaintext.
    delete environment['POSTERN_UPSTREAM_CA'];
    const running = startPostern(words, { environment: { ...environment, ...anyPorts } });
    try {
      await fixture.json('service', 'create', 'orders');
      await trusting(await pastedKeys(), async () => {
        await fixture.json(
          ...['service', 'bind', 'orders', '--issuer', cluster.issuer],
          ...['--claim', 'sub=system:serviceaccount:shop:orders'],
        );
        await fixture.service.addUser('ann@example.com', 'correct horse battery');
        const accessToken = await fixture.service.tokenOf('ann@example.com', 'correct horse battery');
        const { http, grpc: address } = await running.listening;
        await until(async () => (await fetch(`http://${http}/readyz/verification`)).ok, 60_000);
        const client = new grpc.Client(address, grpc.credentials.createInsecure());
        const verify = (access_token: string) =>
          invoke(client, 'postern.v1.AuthService/VerifyToken', { access_token });
        expect(await verify(accessToken)).toMatchObject({ code: grpc.status.OK });
        expect(await verify(`${accessToken}x`)).toMatchObject({ code: grpc.status.UNAUTHENTICATED });
        client.close();
      });
    } finally {
      running.kill('SIGTERM');
      await running.end;
    }
  }, 120_000);

  /** Really applies an object. */
  async function accepted(object: ClusterObject): Promise<{ uid: string }> {
    const { status, body } = await cluster.apply(object);
    if (status >= 300) throw new Error(JSON.stringify(body));
    return body['metadata'] as { uid: string };
  }

  test('its token is exchanged over HTTP: as RFC 8693, as RFC 7523, and as Connect', async () => {
    await trusting(await pastedKeys(), async () => {
      const token = await cluster.tokenOf(pod, OWN);
      const post = async (path: string, body: URLSearchParams | string) => {
        const headers: Record<string, string> =
          typeof body === 'string' ? { 'content-type': 'application/json' } : {};
        const url = `${fixture.service.httpUrl}${path}`;
        return (await (await fetch(url, { method: 'POST', headers, body })).json()) as Record<
          string,
          unknown
        >;
      };
      const grant = (name: string) => `urn:ietf:params:oauth:grant-type:${name}`;
      const exchanged = await post(
        '/oauth/token',
        new URLSearchParams({
          grant_type: grant('token-exchange'),
          subject_token: token,
          subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
        }),
      );
      const asserted = await post(
        '/oauth/token',
        new URLSearchParams({ grant_type: grant('jwt-bearer'), assertion: token }),
      );
      const connect = await post(
        '/postern.v1.AuthService/ExchangeToken',
        JSON.stringify({ subjectToken: token }),
      );
      for (const issued of [exchanged['access_token'], asserted['access_token'], connect['accessToken']])
        expect(claimsOf(String(issued))).toMatchObject({ sub: accountId, name: 'billing' });
    });
  });

  test('a wrong audience, another account, a cut signature and alg none are refused', async () => {
    const other = await createPod(cluster, { namespace: 'warehouse', account: 'billing' });
    await trusting(await pastedKeys(), async () => {
      const token = await cluster.tokenOf(pod, OWN);
      expect(await fixture.verdict(await cluster.tokenOf(pod, 'elsewhere'))).toBe('TOKEN_CLAIMS_INVALID');
      expect(await fixture.verdict(await cluster.apiTokenOf(pod))).toBe('TOKEN_CLAIMS_INVALID');
      expect(await fixture.verdict(await cluster.tokenOf(other, OWN))).toBe('IDENTITY_NOT_BOUND');
      expect(await fixture.verdict(withCutSignature(token))).toBe('TOKEN_SIGNATURE_INVALID');
      expect(await fixture.verdict(withoutAlgorithm(token))).toBe('TOKEN_ALG_NOT_ALLOWED');
    });
    expect(await fixture.verdict(await cluster.tokenOf(pod, OWN))).toBe('ISSUER_NOT_TRUSTED');
  });

  test('a binding to the uid of the service account ends with it; one to its name goes on', async () => {
    const namespace = 'short-lived';
    const first = await createPod(cluster, { namespace, account: 'job' });
    await fixture.json('service', 'create', 'by-name');
    await fixture.json('service', 'create', 'by-uid');
    await trusting(await pastedKeys(), async () => {
      const before = await cluster.tokenOf(first, OWN);
      const { serviceaccount } = claimsOf(before)['kubernetes.io'] as { serviceaccount: { uid: string } };
      const bind = (name: string, ...claim: string[]) =>
        fixture.json(
          ...['service', 'bind', name, '--issuer', cluster.issuer],
          ...['--claim', 'sub=system:serviceaccount:short-lived:job', ...claim],
        );
      await bind('by-uid', '--claim', `kubernetes.io/serviceaccount/uid=${serviceaccount.uid}`);
      expect(await fixture.verified(before)).toMatchObject({ subject_name: 'by-uid' });

      await cluster.remove(`/api/v1/namespaces/${namespace}/serviceaccounts/job`);
      // Nothing in the token changes, and Postern does not ask the cluster: it is accepted until it expires.
      expect(await fixture.verdict(before)).toBe('OK');
      await cluster.create(`/api/v1/namespaces/${namespace}/serviceaccounts`, {
        apiVersion: 'v1',
        kind: 'ServiceAccount',
        metadata: { name: 'job' },
      });
      const after = await cluster.tokenOf(first, OWN);
      expect(await fixture.verdict(after)).toBe('IDENTITY_NOT_BOUND');
      await bind('by-name');
      expect(await fixture.verified(after)).toMatchObject({ subject_name: 'by-name' });
    });
  });

  // A bearer file is read from the places where platforms mount tokens only.
  const isRoot = process.getuid?.() === 0;
  const describeAsRoot = isRoot ? describe : describe.skip;
  const note = isRoot ? '' : ' (needs root, to write below /run/secrets)';
  describeAsRoot(`with keys that Postern fetches from the API server${note}`, () => {
    let caFile: string;
    let secrets: string;
    let bearerFile: string;
    let source: readonly string[];
    beforeAll(() => {
      caFile = join(fixture.folder, 'cluster-ca.crt');
      writeFileSync(caFile, authority.cert);
      mkdirSync('/run/secrets', { recursive: true });
      secrets = mkdtempSync('/run/secrets/postern-');
      bearerFile = join(secrets, 'token');
      source = ['--jwks-url', `${cluster.url}/openid/v1/jwks`, '--ca', caFile];
    });
    afterAll(() => rmSync(secrets, { recursive: true }));

    test('the API server demands a token for itself, and 406 answers a request for plain JSON', async () => {
      const ask = async (headers: Record<string, string>) =>
        (await cluster.get('/openid/v1/jwks', headers)).status;
      const accept = 'application/jwk-set+json, application/json';
      const withToken = (token: string) => ({ authorization: `Bearer ${token}` });
      expect(await ask({ accept })).toBe(403);
      expect(await ask({ accept, ...withToken(await cluster.tokenOf(pod, OWN)) })).toBe(401);
      expect(await ask({ accept, ...withToken(await cluster.apiTokenOf(pod)) })).toBe(200);
      const plain = { accept: 'application/json', ...withToken(await cluster.apiTokenOf(pod)) };
      expect(await ask(plain)).toBe(406);
    });

    test('they are fetched with the token of the bearer file', async () => {
      writeFileSync(bearerFile, await cluster.apiTokenOf(pod));
      await trusting([...source, '--bearer-file', bearerFile], async () => {
        const token = await cluster.tokenOf(pod, OWN);
        expect(await fixture.verified(token)).toMatchObject({ subject_name: 'billing' });
        expect(await fixture.verdict(withCutSignature(token))).toBe('TOKEN_SIGNATURE_INVALID');
      });
    });

    test('without a token of the API server, exchanges are unavailable', async () => {
      await trusting(source, async () => {
        const { code, message } = await fixture.exchange(await cluster.tokenOf(pod, OWN));
        expect({ code, message }).toEqual({ code: 14, message: expect.stringContaining('keys') as unknown });
      });
      writeFileSync(bearerFile, await cluster.tokenOf(pod, OWN));
      await trusting([...source, '--bearer-file', bearerFile], async () => {
        expect((await fixture.exchange(await cluster.tokenOf(pod, OWN))).code).toBe(14);
      });
      expect(fixture.service.logLines.join('')).toContain('the server answered with status 401');
    });
  });
});
