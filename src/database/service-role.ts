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
 * Gives a role exactly what the service needs at run time on Postern's own tables and functions, and takes from it
 * whatever else it was given on them: repeating it changes nothing, and after a migration it must be repeated. In one
 * transaction, so that a running service never sees its rights gone.
 *
 * @throws GrantRefused when there is no such role, or it would have more than that by other ways
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
      ...functionGrants.map((name) => `GRANT EXECUTE ON FUNCTION ${name} TO ${quoted}`),
    ];
    // A question mark in a name would be taken for a place of a value.
    for (const statement of statements) await trx.raw(statement.replaceAll('?', '\\?'));
    await requireExactPrivileges(trx, role);
  });
}

/** A superuser, or whoever can become the tables' owner, has all rights whatever is granted. */
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

/** Rights also come from PUBLIC and from other roles: what is promised here is what the role has in the end. */
async function requireExactPrivileges(trx: Knex.Transaction, role: string): Promise<void> {
  const { rows } = await trx.raw<{ rows: { what: string; privilege: string; held: boolean }[] }>(
    `SELECT name AS what, privilege,
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
    { role, tables: Object.keys(tableGrants) } as never,
  );
  const isWanted = ({ what, privilege }: { what: string; privilege: string }) =>
    Object.hasOwn(tableGrants, what)
      ? (tableGrants[what] as readonly string[]).includes(privilege)
      : privilege !== 'CREATE';
  const inWords = (wrong: typeof rows) =>
    wrong.map(({ what, privilege }) => `${privilege} on ${what}`).join(', ');
  const surplus = rows.filter((row) => row.held && !isWanted(row));
  if (surplus.length > 0) {
    throw new GrantRefused(
      `the role would still have ${inWords(surplus)}, through PUBLIC, another role or another grantor`,
      'Revoke it there (for instance with REVOKE CREATE ON SCHEMA public FROM PUBLIC), and run the command again. Nothing was granted.',
    );
  }
  const missing = rows.filter((row) => !row.held && isWanted(row));
  if (missing.length > 0) {
    throw new GrantRefused(
      `the user of this connection may not grant ${inWords(missing)}`,
      "Run the command as the owner of Postern's tables. Nothing was granted.",
    );
  }
}

export type TablePrivilege = 'SELECT' | 'INSERT' | 'UPDATE' | 'DELETE';

const READ = ['SELECT'] as const;
const ADD = ['SELECT', 'INSERT'] as const;
const REPLACE = ['SELECT', 'INSERT', 'UPDATE'] as const;
const ALL = ['SELECT', 'INSERT', 'UPDATE', 'DELETE'] as const;

/**
 * What the service and its commands need of each table at run time, and no more (D16). A table without a line here
 * fails a test.
 */
export const tableGrants: Readonly<Record<string, readonly TablePrivilege[]>> = {
  users: ALL,
  sessions: ALL,
  revocations: ALL,
  signing_keys: ALL,
  refresh_root: REPLACE,
  login_throttle: ALL,
  service_accounts: ALL,
  // Never updated; the purge locks rows, which takes UPDATE.
  service_tokens: ALL,
  password_resets: ALL,
  // Who takes the service over cannot rewrite what was recorded (D17). Old events go by the function below.
  audit_events: ADD,
  postern_migrations: READ,
};

/** The functions that statements of the service call. */
export const functionGrants: readonly string[] = [
  'postern_hash_kind(text)',
  'postern_purge_audit_events(integer, integer)',
];

/** Functions that only run as triggers, for which nobody needs a right. */
export const triggerFunctions: readonly string[] = ['postern_ring_trust()', 'postern_refuse_change()'];

/** A database role cannot be made the service's role. The message says why, `advice` what to do. */
export class GrantRefused extends Error {
  readonly advice: string;

  constructor(message: string, advice: string) {
    super(message);
    this.name = 'GrantRefused';
    this.advice = advice;
  }
}
