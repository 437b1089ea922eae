import { ApiKeyDigests } from '../../crypto/api-key-digests.ts';
import { Rejected } from '../../domain/rejection.ts';
import { Audiences } from '../../features/audiences/audiences.ts';
import type { ApiKeyMaking } from '../../features/api-keys/create-api-key.ts';
import { loadMasterKeys } from '../../features/root-key/master-keys.ts';
import { RootKey } from '../../features/root-key/root-key.ts';
import { openDatabaseFor } from './open-database-for.ts';

/** Opens the database, and the key for digests of API keys, which the master key seals. */
export function openApiKeys<T>(work: (making: ApiKeyMaking) => Promise<T>): Promise<T> {
  return openDatabaseFor({ schema: true, keys: true }, async (database, settings) => {
    const root = new RootKey();
    await root.prepare(database, loadMasterKeys(settings));
    const audiences = new Audiences({
      configured: settings.audiences,
      database,
      onChange: () => undefined,
    });
    await audiences.refresh();
    return work({
      database,
      apiKeyDigests: new ApiKeyDigests((purpose) => root.derive(purpose)),
      maxApiKeys: settings.maxApiKeys,
      secondFactorRoles: settings.secondFactorRoles,
      audienceFor(requested) {
        if (requested === '') return audiences.all[0];
        if (audiences.all.includes(requested)) return requested;
        const violations = [
          { field: 'audience', description: 'must be an audience that `postern audience list` shows' },
        ];
        throw new Rejected({ kind: 'field-invalid', violations });
      },
    });
  });
}
