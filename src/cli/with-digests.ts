import { SecretDigests } from '../domain/secret-digests.ts';
import { masterKeysOf } from '../operations/master-keys.ts';
import { RefreshRoot } from '../operations/refresh-root.ts';
import type { Database } from '../store/database.ts';
import { withDatabase } from './with-database.ts';

export interface DigestTools {
  readonly database: Database;
  readonly digests: SecretDigests;
}

/** Opens what commands need that make secrets: the key of their digests, which the master key opens. */
export function withDigests<T>(work: (tools: DigestTools) => Promise<T>): Promise<T> {
  return withDatabase({ schema: true, keys: true }, async (database, settings) => {
    const root = new RefreshRoot();
    await root.prepare(database, masterKeysOf(settings));
    return work({ database, digests: new SecretDigests((purpose) => root.derive(purpose)) });
  });
}
