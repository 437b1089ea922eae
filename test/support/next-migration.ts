import { type Migration, migrations } from '../../src/database/migrations/migrations.ts';

/** A migration of the next release: it follows the last one known here. */
export function nextMigration(sql: string): Migration {
  return { number: migrations.length + 1, name: 'of-the-next-release', sql, checksum: 'of the next release' };
}
