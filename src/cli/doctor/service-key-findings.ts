import type { Settings } from '../../config/load-settings.ts';
import { SecretDigests } from '../../crypto/keyed-digests.ts';
import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { listServiceKeyRows } from '../../features/service-accounts/keys/service-key-queries.ts';
import { checkServiceKey, KEY_ID } from '../../features/service-accounts/keys/service-key.ts';
import { exitCodes } from '../exit-codes.ts';
import { existingRootKey } from './existing-root-key.ts';
import { faultOf, type Finding } from './finding.ts';

/** Checks that Postern added every public key of a service account. One that it did not add authenticates nobody (D20). */
export async function serviceKeyFindings(
  database: Database,
  settings: Settings,
  limitMs: number,
): Promise<Finding[]> {
  try {
    const budget = () => budgetOf(limitMs, Date.now());
    const rows = await database.run(budget(), (db) => listServiceKeyRows(db));
    if (rows.length === 0) return [];
    const root = await existingRootKey(database, settings, budget());
    if (root === null) return [];
    const digests = new SecretDigests((purpose) => root.derive(purpose));
    const findings: Finding[] = [];
    for (const row of rows)
      if ((await checkServiceKey(digests, row)) === null) findings.push(foreignKey(row.accountId, row.kid));
    if (findings.length > 0) return findings;
    const message = `every public key of a service account was added by Postern (${rows.length})`;
    return [{ check: 'keys', verdict: 'ok', message }];
  } catch (error) {
    return [faultOf('keys', error)];
  }
}

/** Whoever wrote the row chose its kid, so only one of the right form is repeated. */
function foreignKey(accountId: string, kid: string): Finding {
  const name = KEY_ID.test(kid) ? kid : 'with a malformed kid';
  return {
    check: 'keys',
    verdict: 'fault',
    message: `the public key ${name} of service account ${accountId} was not added by Postern, or was altered; it authenticates nobody`,
    advice: `Something other than Postern wrote to the service_keys table: find out who did. Then run: postern service key delete ${accountId} KID`,
    exitCode: exitCodes.refused,
  };
}
