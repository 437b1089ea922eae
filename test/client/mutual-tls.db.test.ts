import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { credentials, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

import {
  createAuthClient,
  createVerifier,
  PosternError,
  type Upstream,
} from '../../src/client/postern-client.ts';
import { createAuthority, writeIssued } from '../support/certificates.ts';
import { startTestService, type TestService } from '../support/test-service.ts';

const email = 'ann@example.com';
const password = 'correct horse battery';
const watcher = 'spiffe://example.org/watcher';
const authority = createAuthority('ours');
const folder = mkdtempSync(join(tmpdir(), 'postern-mtls-'));
const caFile = join(folder, 'ca.crt');
let service: TestService;
let upstream: (name: string) => Upstream;

beforeAll(async () => {
  writeFileSync(caFile, authority.cert);
  const server = writeIssued(folder, 'server', authority.issue({}));
  service = await startTestService(
    {
      POSTERN_TLS_CERT: server.cert,
      POSTERN_TLS_KEY: server.key,
      POSTERN_TLS_CLIENT_CA: caFile,
      POSTERN_TLS_SERVICE_IDENTITIES: watcher,
    },
    undefined,
    credentials.createInsecure(),
  );
  await service.addUser(email, password);
  upstream = (name) => ({
    address: service.grpcAddress,
    tls: { caFile, certFile: join(folder, `${name}.crt`), keyFile: join(folder, `${name}.key`) },
  });
});
afterAll(async () => {
  await service.stop();
  rmSync(folder, { recursive: true });
});

test('N09 a verifier with a listed certificate watches without a service account, and a client logs in', async () => {
  writeIssued(folder, 'watcher', authority.issue({ uris: [watcher] }));
  const client = createAuthClient(upstream('watcher'));
  const verifier = createVerifier({ trust: { upstream: upstream('watcher') } });
  try {
    const { accessToken, userId } = await client.login({ email, password });
    expect(await verifier.ready(10_000)).toBe(true);
    expect(await verifier.verify(accessToken)).toMatchObject({ subject: userId });
  } finally {
    client.close();
    verifier.close();
  }
});

test('N09 renewed files are used for the next connection, and a certificate without its key is not', async () => {
  const otherAuthority = createAuthority('theirs');
  writeIssued(folder, 'renewed', otherAuthority.issue({}));
  const client = createAuthClient({
    ...upstream('renewed'),
    retry: { attempts: 1, firstPauseMs: 0, longestPauseMs: 0 },
  });
  const answer = () =>
    client.getJwks().then(
      () => 'OK',
      (error: unknown) => (error instanceof PosternError ? status[error.code] : String(error)),
    );
  try {
    expect(await answer()).toBe('UNAVAILABLE');
    const good = authority.issue({});
    writeIssued(folder, 'renewed', { ...good, cert: 'junk' });
    expect(await answer()).toBe('UNAVAILABLE');
    writeIssued(folder, 'renewed', good);
    const startMs = performance.now();
    let last = '';
    // The channel waits between its attempts; a call made meanwhile fails.
    while (last !== 'OK' && performance.now() - startMs < 60_000) last = await answer();
    expect(last).toBe('OK');
  } finally {
    client.close();
  }
});

test('N09 unusable files are reported when the client is created', () => {
  const { address } = upstream('watcher');
  expect(() => createAuthClient({ address, tls: { certFile: caFile } })).toThrow('go together');
  expect(() => createAuthClient({ address, tls: { caFile: join(folder, 'nowhere') } })).toThrow('ENOENT');
});
