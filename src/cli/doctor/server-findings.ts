import type { Transaction } from '../../database/database.ts';
import type { Finding } from './finding.ts';

/** Settings that a session cannot change for itself, so Postern can only report them. */
export interface ServerSettings {
  readonly version: string;
  readonly encoding: string;
  readonly fsync: string;
  readonly triggers: string;
  readonly readOnly: string;
}

export async function readServerSettings(db: Pick<Transaction, 'raw'>): Promise<ServerSettings> {
  const { rows } = await db.raw<{ rows: ServerSettings[] }>(
    `SELECT current_setting('server_version') AS version, current_setting('server_encoding') AS encoding,
            current_setting('fsync') AS fsync, current_setting('session_replication_role') AS triggers,
            current_setting('transaction_read_only') AS "readOnly"`,
  );
  return rows[0] ?? { version: '', encoding: 'UTF8', fsync: 'on', triggers: 'origin', readOnly: 'off' };
}

export function serverFindings({ encoding, fsync, triggers, readOnly }: ServerSettings): Finding[] {
  const warnings: [isWrong: boolean, message: string, advice: string][] = [
    [
      readOnly !== 'off',
      'the server is read-only for this role: serve would wait for it, and logins would answer UNAVAILABLE',
      'Name the primary in DATABASE_URL. If this is the primary, reset default_transaction_read_only of the role and the database.',
    ],
    [
      encoding !== 'UTF8',
      `the encoding of the database is ${encoding}, so names with other characters cannot be stored`,
      'Move the data to a database that was created with ENCODING UTF8.',
    ],
    [
      fsync !== 'on',
      'the server runs with fsync = off, so a crash of its machine can lose acknowledged revocations',
      'Set fsync = on.',
    ],
    [
      triggers !== 'origin',
      `session_replication_role is ${triggers}, so the triggers that guard revocations and the audit trail do not run`,
      'As a superuser, reset it for the role and the database: ALTER ROLE … RESET session_replication_role.',
    ],
  ];
  return warnings
    .filter(([isWrong]) => isWrong)
    .map(([, message, advice]) => ({ check: 'database', verdict: 'warning', message, advice }));
}
