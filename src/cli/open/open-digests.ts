import type { Settings } from '../../config/load-settings.ts';
import { SecretDigests } from '../../crypto/keyed-digests.ts';
import { loadMasterKeys } from '../../features/root-key/master-keys.ts';
import { RootKey } from '../../features/root-key/root-key.ts';
import type { Database } from '../../database/database.ts';
import { openDatabaseFor } from './open-database-for.ts';

export interface DigestTools {
  readonly database: Database;
  readonly digests: SecretDigests;
  readonly settings: Settings;
}

/** Opens the database, and the key for digests of secrets, which the master key seals. For commands that create secrets. */
export function openDigests<T>(work: (tools: DigestTools) => Promise<T>): Promise<T> {
  return openRootKey(({ database, digests, settings }) => work({ database, digests, settings }));
}

/** As `openDigests`, with the root key, from which the other keys are derived. */
export function openRootKey<T>(
  work: (tools: DigestTools & { readonly root: RootKey }) => Promise<T>,
): Promise<T> {
  return openDatabaseFor({ schema: true, keys: true }, async (database, settings) => {
    const root = new RootKey();
    await root.prepare(database, loadMasterKeys(settings));
    const digests = new SecretDigests((purpose) => root.derive(purpose));
    return work({ database, settings, digests, root });
  });
}
