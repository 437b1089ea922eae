import { type Migration, migrations } from '../../src/database/migrations/migrations.ts';

/** What the next release brings: a migration after the last one that is known here. */
export function nextMigration(sql: string): Migration {
  return { number: migrations.length + 1, name: 'of-the-next-release', sql, checksum: 'of the next release' };
}
