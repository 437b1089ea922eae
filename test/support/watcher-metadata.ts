import { Metadata } from '@grpc/grpc-js';

import { openAdminFixture } from './admin-fixture.ts';
import type { TestDatabase } from './test-database.ts';
import type { TestService } from './test-service.ts';

let made = 0;

/** The metadata with which a new service account calls WatchTrust. */
export async function watcherMetadata(service: TestService, store: TestDatabase): Promise<Metadata> {
  made += 1;
  const { id, secret } = await (await openAdminFixture(store)).createService(`watcher-${made}`);
  const { response, message } = await service.call('postern.v1.AuthService/IssueServiceToken', {
    client_id: id,
    client_secret: secret,
  });
  if (!response) throw new Error(`no token for the watcher: ${message}`);
  const metadata = new Metadata();
  metadata.set('authorization', `Bearer ${String(response['access_token'])}`);
  return metadata;
}
