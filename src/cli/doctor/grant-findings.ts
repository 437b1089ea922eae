import { budgetOf } from '../../domain/operation-call.ts';
import type { Database } from '../../database/database.ts';
import { missingPrivileges } from '../../database/service-role.ts';
import type { Finding } from './finding.ts';

/** Privileges that the role of this connection lacks, as after a migration without new grants. Empty when it has all. */
export async function grantFindings(database: Database, limitMs: number): Promise<Finding[]> {
  const { role, missing } = await database.run(budgetOf(limitMs, Date.now()), missingPrivileges);
  if (missing.length === 0) return [];
  return [
    {
      check: 'schema',
      verdict: 'fault',
      message: `the database role ${role} lacks ${missing.join(', ')}`,
      advice: `Run as the owner of the tables: postern migrate --grant-to ${role}`,
    },
  ];
}
