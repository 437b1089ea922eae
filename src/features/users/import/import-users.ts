import { randomBytes } from 'node:crypto';

import { ADMIN_ROLE } from '../../../domain/caller.ts';
import type { AuditActor } from '../../../domain/audit-event.ts';
import type { OperationCall } from '../../../domain/operation-call.ts';
import { Rejected } from '../../../domain/rejection.ts';
import { hasIds, IdConflicts } from './id-conflicts.ts';
import { SeenTexts } from './seen-texts.ts';
import type { ImportCounts, ImportRow, ImportVerdict, UnreadableRow } from './import-row.ts';
import { uuidV7 } from '../../../domain/uuid.ts';
import { insertAuditEvent } from '../../audit/audit-queries.ts';
import type { Database, Transaction } from '../../../database/database.ts';
import { findTakenEmails, insertNewUsers } from './import-queries.ts';
import { type AcceptedRow, validateImportRow } from './validate-import-row.ts';

/** Rows per transaction: enough to make round trips cheap, few enough to hold locks only briefly. */
const BATCH_ROWS = 500;

export interface UserImport<Row> {
  readonly rows: AsyncIterable<Row>;
  /** Gives the same verdicts and creates no user. */
  readonly dryRun: boolean;
  /** Without it, a row with the role `admin` is refused. */
  readonly allowAdmin: boolean;
  readonly actor: AuditActor;
  /** The number of a row in verdicts; its index, counted from 0, unless given. */
  readonly positionOf?: (row: Row) => number;
  /** Called for each row in order, after its batch is committed. */
  readonly onVerdict: (row: Row, verdict: ImportVerdict) => void;
}

export interface ImportUsersDependencies {
  readonly database: Database;
  /** From `tokenRoomOf`. Left out, every `externalId` is refused. */
  readonly tokenRoom?: number;
}

/**
 * Creates users from rows of another system. Reads the next rows only when the previous batch is stored, which applies
 * backpressure to a fast sender. Each batch is one transaction with one audit event; a further event closes the import.
 * When the import ends early, by an error of the database or of `rows`, the batches whose verdicts were reported stay.
 * An existing user is never changed, so an import can be repeated safely. Keeps at most 48 bytes in memory per e-mail, to
 * name the rows that repeat one.
 *
 * @throws Rejected `store-unavailable`, `conflict`, `deadline-exceeded`, `cancelled`; and any error of `rows`
 */
export async function importUsers<Row extends ImportRow | UnreadableRow>(
  { database, tokenRoom = 0 }: ImportUsersDependencies,
  input: UserImport<Row>,
  call: OperationCall,
): Promise<ImportCounts> {
  const total = { created: 0, skipped: 0, refused: 0 };
  const { rows, actor, allowAdmin, onVerdict } = input;
  const processBatch = input.dryRun ? simulateBatches(database, call) : storeBatches(database, actor, call);
  const seen = new SeenTexts();
  const conflicts = new IdConflicts(input.dryRun ? seen : null);
  let index = 0;
  for await (const batch of batches(rows)) {
    const validated = batch.map((row) => {
      const result = validateImportRow(row, { allowAdmin, tokenRoom });
      const position = input.positionOf?.(row) ?? index;
      index += 1;
      return { row, result, position };
    });
    const valid = validated.flatMap(({ result }) => (result.ok ? [result.accepted] : []));
    const conflicting = await conflicts.findIn(database, valid, call);
    // The earlier row with the same e-mail, by its position; a refused row is none.
    const earlier = new Map<AcceptedRow, number>();
    for (const { result, position } of validated) {
      if (!result.ok || conflicting.has(result.accepted)) continue;
      const sameAs = seen.add(result.accepted.email, position);
      if (sameAs !== undefined) earlier.set(result.accepted, sameAs);
    }
    const accepted = valid.filter((row) => !conflicting.has(row));
    // The database knows the users of earlier batches, except in a dry run, which stores none.
    const candidates = input.dryRun ? accepted.filter((row) => !earlier.has(row)) : firstPerEmail(accepted);
    const created = await processBatch(candidates, validated.length - accepted.length);
    for (const { row, result } of validated) {
      const verdict = verdictOf(result, { conflicting, created, earlier });
      total[verdict.outcome] += 1;
      onVerdict(row, verdict);
    }
  }
  const details = { dry_run: input.dryRun, ...total };
  const event = { action: 'user.import', outcome: 'ok', actor, details } as const;
  await database.run(call, (db) => insertAuditEvent(db, { event, origin: call.origin }));
  return total;
}

/** Stores or simulates a batch; returns the rows that became users, or would. */
type ProcessBatch = (rows: readonly AcceptedRow[], refused: number) => Promise<ReadonlySet<AcceptedRow>>;

function storeBatches(database: Database, actor: AuditActor, call: OperationCall): ProcessBatch {
  return (rows, refused) =>
    database.transaction(call, async (trx) => {
      const nowMs = Date.now();
      const users = rows.map((row) => ({ ...row, id: row.id ?? uuidV7(nowMs, randomBytes(16)) }));
      const emails = await insertNewUsers(trx, users);
      const created = rows.filter(({ email }) => emails.has(email));
      const others = rows.filter(({ email }) => !emails.has(email));
      if (others.some(hasIds)) await requireTakenEmails(trx, others.filter(hasIds));
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

/**
 * Checks that rows were not inserted because of their e-mails, and not because of an id that somebody else has stored since
 * `IdConflicts` looked: the second look, when the import is repeated, sees it.
 */
async function requireTakenEmails(trx: Transaction, rows: readonly AcceptedRow[]): Promise<void> {
  const taken = await findTakenEmails(
    trx,
    rows.map(({ email }) => email),
  );
  if (!rows.every(({ email }) => taken.has(email))) throw new Rejected({ kind: 'conflict' });
}

function simulateBatches(database: Database, call: OperationCall): ProcessBatch {
  return async (rows) => {
    const taken = await database.run(call, (db) =>
      findTakenEmails(
        db,
        rows.map(({ email }) => email),
      ),
    );
    return new Set(rows.filter(({ email }) => !taken.has(email)));
  };
}

function verdictOf(
  result: ReturnType<typeof validateImportRow>,
  batch: {
    readonly conflicting: ReadonlyMap<AcceptedRow, string>;
    readonly created: ReadonlySet<AcceptedRow>;
    readonly earlier: ReadonlyMap<AcceptedRow, number>;
  },
): ImportVerdict {
  if (!result.ok) return { outcome: 'refused', reason: result.reason };
  const { accepted } = result;
  const conflict = batch.conflicting.get(accepted);
  if (conflict !== undefined) return { outcome: 'refused', reason: conflict };
  if (batch.created.has(accepted)) return { outcome: 'created' };
  return { outcome: 'skipped', sameAs: batch.earlier.get(accepted) };
}

/** Keeps the first of several rows with the same e-mail, as if each row were stored separately. */
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
