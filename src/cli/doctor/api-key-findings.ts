import type { Settings } from '../../config/load-settings.ts';
import { ApiKeyDigests } from '../../crypto/api-key-digests.ts';
import { sameDigest } from '../../crypto/keyed-digests.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { listStoredKeys } from '../../features/api-keys/api-key-feed-queries.ts';
import { exitCodes } from '../exit-codes.ts';
import { existingRootKey } from './existing-root-key.ts';
import { faultOf, type Finding } from './finding.ts';

/** Checks that Postern wrote every API key as it is stored. One that was altered authenticates nobody (D20). */
export async function apiKeyFindings(
  database: Database,
  settings: Settings,
  limitMs: number,
): Promise<Finding[]> {
  try {
    const budget = () => budgetOf(limitMs, Date.now());
    const keys = await database.run(budget(), (db) => listStoredKeys(db));
    if (keys.length === 0) return [];
    const root = await existingRootKey(database, settings, budget());
    if (root === null) return [];
    const digests = new ApiKeyDigests((purpose) => root.derive(purpose));
    const altered = keys.filter((key) => !sameDigest(key.mac, digests.macOf(key)));
    if (altered.length > 0) return altered.map(({ id }) => alteredKey(id));
    return [
      { check: 'keys', verdict: 'ok', message: `every API key is as Postern stored it (${keys.length})` },
    ];
  } catch (error) {
    return [faultOf('keys', error)];
  }
}

function alteredKey(id: string): Finding {
  return {
    check: 'keys',
    verdict: 'fault',
    message: `the API key ${id} was not stored by Postern, or was altered; it authenticates nobody`,
    advice: `Something other than Postern wrote to the api_keys table: find out who did. Then run: postern api-key revoke ${id}`,
    exitCode: exitCodes.refused,
  };
}
