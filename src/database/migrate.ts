import type { Knex } from 'knex';
import { sleepUnlessAborted } from '../domain/concurrency/sleep.ts';
import type { Database } from './database.ts';
import { type Migration, migrations } from './migrations/migrations.ts';
import { sqlState } from './pg-errors.ts';

/** The advisory lock that serialises migrating processes. */
const MIGRATION_LOCK = 0x706f7374;
/**
 * Whoever uses a table waits behind a migration that waits for it, and behind one whose process is gone as well. So it waits
 * for less than the service does (`LOCK_TIMEOUT_MS`), and tries again after a pause in which the others pass.
 */
const MIGRATION_LOCK_TIMEOUT_MS = 150;
const PAUSE_MS = 1_500;
/** lock_not_available */
const LOCK_TIMEOUT = '55P03';

interface AppliedMigration {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
}

export interface SchemaState {
  readonly applied: number;
  readonly known: number;
}

/**
 * Brings the schema up to date in one transaction under an advisory lock, so that many instances may start at once. A
 * schema newer than this program is left as it is, since every migration keeps the previous release working. It waits, without
 * an end, for transactions that hold a lock on its tables, such as a backup.
 *
 * @param known all migrations, the first one first
 * @param onWaiting called once, when somebody holds such a lock
 * @returns the names of the migrations that this call applied
 * @throws SchemaMismatch when an applied migration differs from the known one
 */
export async function migrate(
  database: Database,
  known = migrations,
  onWaiting: () => void = () => undefined,
): Promise<string[]> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryToMigrate(database, known);
    } catch (error) {
      if (sqlState((error as Error).cause) !== LOCK_TIMEOUT) throw error;
    }
    if (attempt === 1) onWaiting();
    await sleepUnlessAborted(PAUSE_MS, undefined);
  }
}

function tryToMigrate(database: Database, known: readonly Migration[]): Promise<string[]> {
  return database.unlimited(async (trx) => {
    await trx.raw('SET LOCAL statement_timeout = 0');
    await trx.raw('SET LOCAL lock_timeout = 0');
    await trx.raw('SELECT pg_advisory_xact_lock(?)', [MIGRATION_LOCK]);
    await trx.raw(`SET LOCAL lock_timeout = ${MIGRATION_LOCK_TIMEOUT_MS}`);
    // Not CREATE TABLE IF NOT EXISTS: a role that may not create tables must succeed when there is nothing to do.
    if (!(await hasMigrationsTable(trx))) {
      await trx.raw(`CREATE TABLE postern_migrations (
        number integer PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
      )`);
    }
    const pending = pendingAfter(await readApplied(trx), known);
    for (const migration of pending) {
      await trx.raw(migration.sql);
      await trx('postern_migrations').insert({
        number: migration.number,
        name: migration.name,
        checksum: migration.checksum,
      });
    }
    return pending.map(({ name }) => name);
  });
}

/**
 * Reads how many migrations are applied, without changing anything.
 *
 * @throws SchemaMismatch when an applied migration differs from the known one
 */
export async function readSchemaState(database: Database): Promise<SchemaState> {
  return database.unlimited(async (trx) => {
    if (!(await hasMigrationsTable(trx))) return { applied: 0, known: migrations.length };
    const applied = await readApplied(trx);
    pendingAfter(applied, migrations);
    return { applied: applied.length, known: migrations.length };
  });
}

/**
 * @param allowNewer whether to accept a schema newer than this program, as after a downgrade to an earlier release
 * @throws SchemaMismatch when the schema is not at this program's last migration
 */
export async function requireSchema(
  database: Database,
  { allowNewer }: { allowNewer: boolean },
): Promise<void> {
  const { applied, known } = await readSchemaState(database);
  if (applied === known || (allowNewer && applied > known)) return;
  throw new SchemaMismatch(
    applied < known
      ? `the database schema is at migration ${applied}, and this version of Postern needs ${known}: run 'postern migrate'`
      : `the database schema is at migration ${applied}, and this version of Postern knows only ${known}: ` +
          'run a newer Postern, or this one with POSTERN_MIGRATE=auto',
  );
}

async function hasMigrationsTable(trx: Knex.Transaction): Promise<boolean> {
  const { rows } = await trx.raw<{ rows: { found: string | null }[] }>(
    `SELECT to_regclass('postern_migrations') AS found`,
  );
  return rows[0]?.found != null;
}

async function readApplied(trx: Knex.Transaction): Promise<AppliedMigration[]> {
  return trx<AppliedMigration>('postern_migrations').select('number', 'name', 'checksum').orderBy('number');
}

function pendingAfter(
  applied: readonly AppliedMigration[],
  known: readonly Migration[],
): readonly Migration[] {
  for (const [index, row] of applied.slice(0, known.length).entries()) {
    const migration = known[index];
    if (row.number !== migration?.number || row.checksum !== migration.checksum) {
      throw new SchemaMismatch(
        `migration ${row.number} (${row.name}) in the database differs from the one in this version of Postern: ` +
          'the schema was changed, or belongs to another program; set DATABASE_URL to a database of its own',
      );
    }
  }
  return known.slice(applied.length);
}

/** This program cannot work with the database's schema. The message says why and what to do. */
export class SchemaMismatch extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SchemaMismatch';
  }
}
