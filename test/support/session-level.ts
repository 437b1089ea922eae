import type { Authentication } from '../../src/domain/claims/authentication.ts';
import { masterKeyOf } from '../../src/crypto/sealed-envelope.ts';
import { RootKey } from '../../src/features/root-key/root-key.ts';
import { masterKey } from './service-environment.ts';
import type { TestDatabase } from './test-database.ts';

/** Makes a session as if its user had proven this, as the service would have stored it. */
export async function storeAuthentication(
  database: TestDatabase,
  { sessionId, userId }: { sessionId: string; userId: string },
  authentication: Authentication,
): Promise<void> {
  const root = new RootKey();
  await root.prepare(database.database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  const { acr, amr, authenticatedAtSeconds, mac } = root
    .authentications()
    .toStored(sessionId, userId, authentication);
  await database.query(
    `UPDATE sessions SET acr = $2, amr = $3, authenticated_at = to_timestamp($4), authentication_mac = $5 WHERE id = $1`,
    [sessionId, acr, amr, authenticatedAtSeconds, mac],
  );
}

/** Makes a session like one that a release before second factors has opened. */
export async function forgetAuthentication(database: TestDatabase, sessionId: string): Promise<void> {
  await database.query(
    'UPDATE sessions SET acr = NULL, amr = NULL, authenticated_at = NULL, authentication_mac = NULL WHERE id = $1',
    [sessionId],
  );
}
