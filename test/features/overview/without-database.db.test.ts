import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import * as grpc from '@grpc/grpc-js';
import { expect, test } from '@jest/globals';

import { createAuthority, writeIssued } from '../../support/certificates.ts';
import { DatabaseProxy } from '../../support/database-proxy.ts';
import { createTestDatabase } from '../../support/test-database.ts';
import { startTestService } from '../../support/test-service.ts';
import { until } from '../../support/wait-for.ts';

const OVERVIEW = 'postern.v1.AdminService/GetOverview';
const admin = 'spiffe://example.org/admin';

// The role of a token is read from the database, so only a listed certificate is answered then.
test('C23 while the database is away, an administrator by certificate gets the counters without the totals', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-overview-'));
  const authority = createAuthority('ours');
  const { cert, key } = writeIssued(folder, 'server', authority.issue({ dns: ['localhost'] }));
  const ca = join(folder, 'ca.crt');
  writeFileSync(ca, authority.cert);
  const shown = authority.issue({ uris: [admin] });
  const store = await createTestDatabase();
  const proxy = new DatabaseProxy(store.url);
  const url = new URL(store.url);
  url.searchParams.delete('host');
  url.port = String(await proxy.open());
  url.hostname = '127.0.0.1';
  const service = await startTestService(
    {
      DATABASE_URL: url.href,
      POSTERN_TLS_CERT: cert,
      POSTERN_TLS_KEY: key,
      POSTERN_TLS_CLIENT_CA: ca,
      POSTERN_TLS_ADMIN_IDENTITIES: admin,
      POSTERN_ISSUER: 'https://127.0.0.1:8080',
    },
    store,
    grpc.credentials.createSsl(Buffer.from(authority.cert), Buffer.from(shown.key), Buffer.from(shown.cert)),
  );
  try {
    const overview = () => service.call(OVERVIEW, {});
    expect((await overview()).response).toMatchObject({
      totals: { users: { count: 0, is_estimate: false } },
      database: { reachable: true },
    });
    await proxy.close();
    await until(async () => {
      const { code, response } = await overview();
      expect(code).toBe(grpc.status.OK);
      expect(response).toMatchObject({ rpcs: expect.any(Number), trust: { max_staleness_seconds: 300 } });
      const { reachable } = response?.['database'] as { reachable: boolean };
      return response?.['totals'] === null && !reachable;
    }, 'the totals are gone');
  } finally {
    await service.stop();
    await store.drop();
    rmSync(folder, { recursive: true });
  }
});
