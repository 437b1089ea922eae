import type { Knex } from 'knex';
import type { Database } from './database.ts';

interface RoleRow {
  readonly quoted: string;
  readonly quoted_schema: string;
  readonly quoted_database: string;
  readonly superuser: boolean;
  readonly owns: boolean;
}

/**
 * Grants a role exactly the privileges that the service needs on Postern's tables and functions, and revokes any others
 * that it was granted on the tables. It is idempotent, and must be repeated after each migration. It runs in one
 * transaction, so that a running service never loses its privileges in between.
 *
 * @throws GrantRefused when the role does not exist, or would have more privileges by other means
 */
export async function grantServiceRole(database: Database, role: string): Promise<void> {
  await database.unlimited(async (trx) => {
    const { quoted, quoted_schema, quoted_database } = await requireOrdinaryRole(trx, role);
    const statements = [
      `GRANT CONNECT ON DATABASE ${quoted_database} TO ${quoted}`,
      `GRANT USAGE ON SCHEMA ${quoted_schema} TO ${quoted}`,
      ...Object.entries(tableGrants).flatMap(([table, privileges]) => [
        `REVOKE ALL ON TABLE ${table} FROM ${quoted}`,
        `GRANT ${privileges.join(', ')} ON TABLE ${table} TO ${quoted}`,
      ]),
      ...(await listPartitions(trx)).map((name) => `REVOKE ALL ON TABLE ${name} FROM ${quoted}`),
      ...functionGrants.map((name) => `GRANT EXECUTE ON FUNCTION ${name} TO ${quoted}`),
    ];
    // Knex would take a question mark in a name for a binding.
    for (const statement of statements) await trx.raw(statement.replaceAll('?', '\\?'));
    await requireExactPrivileges(trx, role);
  });
}

/** A superuser, or a member of the tables' owner, has all privileges regardless of grants. */
async function requireOrdinaryRole(trx: Knex.Transaction, role: string): Promise<RoleRow> {
  const { rows } = await trx.raw<{ rows: RoleRow[] }>(
    `SELECT quote_ident(rolname) AS quoted, quote_ident(current_schema()) AS quoted_schema,
            quote_ident(current_database()) AS quoted_database, rolsuper AS superuser,
            EXISTS (SELECT FROM pg_class WHERE oid = ANY (?::regclass[]) AND pg_has_role(r.oid, relowner, 'MEMBER')) AS owns
     FROM pg_roles r WHERE rolname = ?`,
    [Object.keys(tableGrants), role],
  );
  const [found] = rows;
  if (!found) {
    throw new GrantRefused(
      'there is no such database role',
      'Create it first, with CREATE ROLE … LOGIN PASSWORD … in psql.',
    );
  }
  if (found.superuser || found.owns) {
    throw new GrantRefused(
      `the role ${found.superuser ? 'is a superuser' : "owns Postern's tables"}, so grants cannot limit it`,
      'Name another role, one with which the service logs in.',
    );
  }
  return found;
}

/** The partitions of Postern's tables. The service reads and writes them through their table, with its privileges. */
async function listPartitions(trx: Knex.Transaction): Promise<string[]> {
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    'SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = ANY (?::regclass[])',
    [Object.keys(tableGrants)],
  );
  return rows.map(({ name }) => name);
}

/** Checks the effective privileges, since a role also has those of PUBLIC and of the roles that it is a member of. */
async function requireExactPrivileges(trx: Knex.Transaction, role: string): Promise<void> {
  const partitions = await listPartitions(trx);
  const { rows } = await trx.raw<{ rows: { object: string; privilege: string; held: boolean }[] }>(
    `SELECT name AS object, privilege,
            CASE WHEN privilege IN ('DELETE', 'TRUNCATE', 'TRIGGER')
              THEN has_table_privilege(:role, name::regclass, privilege)
              ELSE has_any_column_privilege(:role, name::regclass, privilege) END AS held
     FROM unnest(:tables::text[]) AS name,
          unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS privilege
     UNION ALL SELECT 'schema ' || quote_ident(current_schema()), privilege,
                      has_schema_privilege(:role, current_schema(), privilege)
     FROM unnest(ARRAY['USAGE', 'CREATE']) AS privilege
     UNION ALL SELECT 'database ' || quote_ident(current_database()), privilege,
                      has_database_privilege(:role, current_database(), privilege)
     FROM unnest(ARRAY['CONNECT', 'CREATE']) AS privilege`,
    { role, tables: [...Object.keys(tableGrants), ...partitions] } as never,
  );
  const isGranted = ({ object, privilege }: { object: string; privilege: string }) =>
    Object.hasOwn(tableGrants, object)
      ? (tableGrants[object] as readonly string[]).includes(privilege)
      : !partitions.includes(object) && privilege !== 'CREATE';
  const format = (privileges: typeof rows) =>
    privileges.map(({ object, privilege }) => `${privilege} on ${object}`).join(', ');
  const surplus = rows.filter((row) => row.held && !isGranted(row));
  if (surplus.length > 0) {
    throw new GrantRefused(
      `the role would still have ${format(surplus)}, through PUBLIC, another role or another grantor`,
      'Revoke them there (for instance with REVOKE CREATE ON SCHEMA public FROM PUBLIC), and run the command again. Nothing was granted.',
    );
  }
  const missing = rows.filter((row) => !row.held && isGranted(row));
  if (missing.length > 0) {
    throw new GrantRefused(
      `the user of this connection may not grant ${format(missing)}`,
      "Run the command as the owner of Postern's tables. Nothing was granted.",
    );
  }
}

/** What the service needs and its role may not do, such as `EXECUTE on f(text)`, after a migration without new grants. */
export async function missingPrivileges(db: Pick<Knex, 'raw'>): Promise<{ role: string; missing: string[] }> {
  const tables = Object.entries(tableGrants).flatMap(([name, privileges]) =>
    privileges.map((privilege) => ({ name, privilege })),
  );
  const { rows } = await db.raw<{ rows: { role: string; missing: string[] }[] }>(
    `SELECT current_user::text AS role, ARRAY(
       SELECT privilege || ' on ' || name FROM unnest(:tables::text[], :privileges::text[]) AS t (name, privilege)
       WHERE NOT has_table_privilege(name, privilege)
       UNION ALL SELECT 'EXECUTE on ' || name FROM unnest(:functions::text[]) AS f (name)
       WHERE NOT coalesce(has_function_privilege(to_regprocedure(name), 'EXECUTE'), false)) AS missing`,
    {
      tables: tables.map(({ name }) => name),
      privileges: tables.map(({ privilege }) => privilege),
      functions: [...functionGrants],
    } as never,
  );
  return rows[0] ?? { role: '', missing: [] };
}

/** @throws PrivilegesMissing when the role of this connection lacks a privilege */
export async function requirePrivileges(database: Database): Promise<void> {
  const { role, missing } = await database.unlimited(missingPrivileges);
  if (missing.length > 0) throw new PrivilegesMissing(role, missing);
}

/**
 * The service's role lacks privileges, as after a migration without new grants. Without this check at the start, calls would
 * fail one by one while the service reports that it is ready.
 */
export class PrivilegesMissing extends Error {
  /** insufficient_privilege: the same fault as a statement that the server refuses. */
  readonly code = '42501';

  constructor(role: string, missing: readonly string[]) {
    super(`the database role ${role} lacks ${missing.join(', ')}`);
    this.name = 'PrivilegesMissing';
  }
}

export type TablePrivilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';

const READ = ['SELECT'] as const;
const APPEND = ['SELECT', 'INSERT'] as const;
const REPLACE = ['SELECT', 'INSERT', 'UPDATE'] as const;
const ALL = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] as const;

/**
 * The privileges that the service and its commands need on each table, and no more (D16). A test requires every table
 * here.
 */
export const tableGrants: Readonly<Record<string, readonly TablePrivilege[]>> = {
  users: ALL,
  sessions: ALL,
  revocations: ALL,
  signing_keys: ALL,
  refresh_root: REPLACE,
  login_throttle: ALL,
  service_accounts: ALL,
  // Rows are never updated, but the purge locks them, which requires UPDATE.
  service_tokens: ALL,
  // As above: deletions and the purge lock rows, which requires UPDATE.
  service_keys: ALL,
  used_once: ALL,
  // As above: whoever names an audience locks its row, which requires UPDATE.
  audiences: ALL,
  trusted_issuers: ALL,
  workload_bindings: ALL,
  api_keys: ALL,
  factors: ALL,
  // Rows are never updated, but deletions lock them, which requires UPDATE.
  recovery_codes: ALL,
  code_failures: ALL,
  password_resets: ALL,
  // An attacker who controls the service cannot change or delete recorded events (D17). The purge deletes old events by
  // the function below.
  audit_events: APPEND,
  // Triggers write it, with the rights of the tables' owner: an attacker who controls the service cannot free an id.
  retired_ids: READ,
  postern_migrations: READ,
};

/** The functions that the service's SQL calls. */
export const functionGrants: readonly string[] = [
  'postern_hash_kind(text)',
  'postern_purge_audit_events(integer, integer)',
  'postern_make_partitions(integer)',
  'postern_lowest_id(timestamp with time zone)',
  'postern_audit_partitions()',
  'postern_begin_login_1(text, bytea, bytea, double precision[], integer, double precision, double precision, integer)',
  'postern_open_session_1(uuid, text, text, uuid, bytea, text, inet, text, double precision, double precision, integer, double precision, uuid, text, text, bytea, bytea, double precision)',
  'postern_open_session_2(uuid, text, text, uuid, bytea, text, inet, text, double precision, double precision, text, text[], double precision, bytea, integer, double precision, uuid, text, jsonb, text, bytea, bytea, double precision)',
  'postern_end_api_keys_1(uuid[])',
  'postern_renew_api_keys_1(uuid[], timestamp with time zone)',
];

/** Functions that run only as triggers, which needs no EXECUTE privilege. */
export const triggerFunctions: readonly string[] = [
  'postern_ring_trust()',
  'postern_refuse_change()',
  'postern_retire_id()',
  'postern_refuse_used_id()',
  'postern_renew_keys_of_owner()',
  'postern_end_deleted_api_key()',
];

/** A database role cannot be used as the service's role. `message` says why, `advice` what to do. */
export class GrantRefused extends Error {
  readonly advice: string;

  constructor(message: string, advice: string) {
    super(message);
    this.name = 'GrantRefused';
    this.advice = advice;
  }
}
