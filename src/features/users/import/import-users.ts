import { randomBytes } from 'node:crypto';

import { ADMIN_ROLE } from '../../../domain/caller.ts';
import type { AuditActor } from '../../../domain/audit-event.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { SeenEmails } from './seen-emails.ts';
import type { ImportCounts, ImportRow, ImportVerdict, UnreadableRow } from './import-row.ts';
import { uuidV7 } from '../../../domain/uuid.ts';
import { insertAuditEvent } from '../../audit/audit-queries.ts';
import type { Database } from '../../../database/database.ts';
import { findTakenEmails, insertNewUsers } from '../user-queries.ts';
import { type AcceptedRow, validateImportRow } from './validate-import-row.ts';

/** Rows of one transaction: enough to make its round trips cheap, few enough to hold no lock for long. */
const BATCH_ROWS = 500;

export interface UserImport<Row> {
  readonly rows: AsyncIterable<Row>;
  /** Gives the same verdicts and makes no user. Remembers about 50 bytes of each e-mail; a real import remembers none. */
  readonly dryRun: boolean;
  /** Without it, a row with the role `admin` is refused. */
  readonly allowAdmin: boolean;
  readonly actor: AuditActor;
  /** Called for each row in order, once its batch is committed. */
  readonly onVerdict: (row: Row, verdict: ImportVerdict) => void;
}

/**
 * Makes users of rows from another program. Takes the next rows only when those before are stored, so that a fast
 * sender is held back. A batch of rows is one transaction with one audit event, and the import has one at its end. When
 * it ends early, by a fault or because `rows` throws, the batches whose verdicts were given stay. An existing user is
 * never changed, so running the same import again is harmless.
 *
 * @throws Rejected `store-unavailable`, `conflict`, `deadline-exceeded`, `cancelled`; and what `rows` throws
 */
export async function importUsers<Row extends ImportRow | UnreadableRow>(
  { database }: { readonly database: Database },
  input: UserImport<Row>,
  call: OperationCall,
): Promise<ImportCounts> {
  const total = { created: 0, skipped: 0, refused: 0 };
  const { rows, actor, onVerdict } = input;
  const processBatch = input.dryRun ? dryRun(database, call) : realRun(database, actor, call);
  for await (const batch of batches(rows)) {
    const validated = batch.map((row) => ({ row, result: validateImportRow(row, input) }));
    const accepted = validated.flatMap(({ result }) => (result.ok ? [result.accepted] : []));
    const created = await processBatch(firstPerEmail(accepted), validated.length - accepted.length);
    for (const { row, result } of validated) {
      const verdict = verdictOf(result, created);
      total[verdict.outcome] += 1;
      onVerdict(row, verdict);
    }
  }
  const details = { dry_run: input.dryRun, ...total };
  const event = { action: 'user.import', outcome: 'ok', actor, details } as const;
  await database.run(call, (db) => insertAuditEvent(db, { event, origin: call.origin }));
  return total;
}

/** Stores a batch, or seems to, and gives the rows that became users, or would. */
type ProcessBatch = (rows: readonly AcceptedRow[], refused: number) => Promise<ReadonlySet<AcceptedRow>>;

function realRun(database: Database, actor: AuditActor, call: OperationCall): ProcessBatch {
  return (rows, refused) =>
    database.transaction(call, async (trx) => {
      const nowMs = Date.now();
      const users = rows.map((row) => ({ ...row, id: uuidV7(nowMs, randomBytes(16)) }));
      const emails = await insertNewUsers(trx, users);
      const created = rows.filter(({ email }) => emails.has(email));
      const details = {
        created: created.length,
        administrators: created.filter(({ roles }) => roles.includes(ADMIN_ROLE)).length,
        existing: rows.length - created.length,
        refused,
      };
      await insertAuditEvent(trx, {
        event: { action: 'user.import.batch', outcome: 'ok', actor, details },
        origin: call.origin,
      });
      return new Set(created);
    });
}

function dryRun(database: Database, call: OperationCall): ProcessBatch {
  const seen = new SeenEmails();
  return async (rows) => {
    const taken = await database.run(call, (db) =>
      findTakenEmails(
        db,
        rows.map(({ email }) => email),
      ),
    );
    return new Set(rows.filter(({ email }) => seen.add(email) && !taken.has(email)));
  };
}

function verdictOf(
  result: ReturnType<typeof validateImportRow>,
  created: ReadonlySet<AcceptedRow>,
): ImportVerdict {
  if (!result.ok) return { outcome: 'refused', reason: result.reason };
  return { outcome: created.has(result.accepted) ? 'created' : 'skipped' };
}

/** Of rows with the same e-mail the first, as when each were stored by itself. */
function firstPerEmail(rows: readonly AcceptedRow[]): readonly AcceptedRow[] {
  const seen = new Set<string>();
  return rows.filter(({ email }) => !seen.has(email) && seen.add(email));
}

async function* batches<Row>(rows: AsyncIterable<Row>): AsyncGenerator<Row[]> {
  let batch: Row[] = [];
  for await (const row of rows) {
    if (batch.push(row) < BATCH_ROWS) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
