import type { Settings } from '../../config/load-settings.ts';
import type { Database } from '../../database/database.ts';
import type { CallBudget } from '../../domain/operation-call.ts';
import { loadMasterKeys } from '../../features/root-key/master-keys.ts';
import { findRootKey } from '../../features/root-key/root-key-queries.ts';
import { RootKey } from '../../features/root-key/root-key.ts';

/** Opens the root key. Null when there is none: opening it would create one, and doctor changes nothing. */
export async function existingRootKey(
  database: Database,
  settings: Settings,
  budget: CallBudget,
): Promise<RootKey | null> {
  if ((await database.run(budget, (db) => findRootKey(db))) === null) return null;
  const root = new RootKey();
  await root.prepare(database, loadMasterKeys(settings, { createIfMissing: false }));
  return root;
}
