import type { Client } from 'pg';

/**
 * What the code relies on in a session. A role, a database or a pooler may have set each of them otherwise (`ALTER ROLE …
 * SET`, `ALTER DATABASE … SET`), so each connection sets them itself, after the start-up message: a pooler may refuse or
 * drop what that message sets. `search_path` is not here: it is how an operator chooses the schema.
 */
const PINNED: Readonly<Record<string, string>> = {
  // The driver parses the text of results, and reads dates in this form only.
  datestyle: 'ISO, MDY',
  intervalstyle: 'postgres',
  timezone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  client_encoding: 'UTF8',
  // How the text of statements and of array parameters is read.
  standard_conforming_strings: 'on',
  array_nulls: 'on',
  transform_null_equals: 'off',
  // The conditional UPDATEs read a row again when they waited for its lock; a stricter level would fail instead.
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  // A refused statement, such as one that violates a unique index, would end the connection.
  exit_on_error: 'off',
  // The pool keeps idle connections, and the migrations and the listener must not be ended. Since PostgreSQL 14 and 17.
  idle_session_timeout: '0',
  transaction_timeout: '0',
};

const STATEMENT = `
  SELECT set_config(name, setting, false)
  FROM unnest($1::text[], $2::text[]) AS ours (name, setting)
  -- Settings of Postern's own have a dot and need not exist; some of the others do not exist in older servers.
  WHERE name LIKE '%.%' OR current_setting(name, true) IS NOT NULL
  UNION ALL
  SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`;

/**
 * Sets what the code relies on for the session of a new connection, and further settings. Of `synchronous_commit` only
 * `off` is changed (D01, D22): the others keep an acknowledged change through a crash.
 */
export async function pinSession(
  client: Client,
  further: Readonly<Record<string, string>> = {},
): Promise<void> {
  const settings = { ...PINNED, ...further };
  await client.query(STATEMENT, [Object.keys(settings), Object.values(settings)]);
}
