import { extname } from 'node:path';
import { Option } from 'commander';

import { type OperationCall, ownOrigin } from '../../../domain/operation-call.ts';
import type { ImportVerdict } from '../../../features/users/import/import-row.ts';
import { importUsers } from '../../../features/users/import/import-users.ts';
import { type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { csvRows } from '../../import/csv-rows.ts';
import type { FileRow } from '../../import/file-row.ts';
import { openImportSource } from '../../import/import-source.ts';
import { jsonRows } from '../../import/json-rows.ts';
import { textLines } from '../../import/text-lines.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { ProgressLine } from '../../progress-line.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { readTokenRoom } from '../../open/token-room.ts';

interface Options {
  readonly format?: 'csv' | 'jsonl';
  readonly dryRun?: boolean;
  readonly allowAdmin?: boolean;
  readonly json?: boolean;
}

/** No deadline: each batch has its own time limit. Ctrl-C ends the reading of the file, so that no batch is interrupted. */
const call: OperationCall = {
  deadlineMs: Number.POSITIVE_INFINITY,
  signal: new AbortController().signal,
  origin: ownOrigin,
};

/** `postern user import FILE|- [--format csv|jsonl] [--dry-run] [--allow-admin] [--json]` */
export const userImport: CommandDefinition = (command) => {
  command
    .argument('<FILE>', 'a .csv or .jsonl file; `-` reads standard input')
    .addOption(
      new Option('--format <name>', 'the format of the file, if its extension does not say').choices([
        'csv',
        'jsonl',
      ]),
    )
    .option('--dry-run', 'report the result of each row without changing anything')
    .option('--allow-admin', 'accept rows with the role admin, which are refused by default')
    .option(
      '--json',
      'print one JSON line for each refused row and each row that repeats an e-mail, then one with the counts',
    )
    .addHelpText(
      'after',
      `
Fields: email, password_hash (as the other program stored it; empty, or a marker such as ! or *, for a user without a
password), roles, disabled, id (the UUID that the user had there, which the user keeps), external_id (another id from
there, for the claim external_id of access tokens).
In JSON lines, roles is an array and disabled is true or false. A CSV file names its columns in the first line and
separates roles by spaces or semicolons; a cell that contains a comma must be in quotes.

Users that exist are skipped and never changed, so that the same file may be imported again. Of several rows with the
same e-mail the first is imported; the others are skipped, and reported with both line numbers. A row is refused when
its id or external_id belongs to another user, or when the user with its e-mail has others.
The exit code is ${exitCodes.ok} if no row was refused, and ${exitCodes.refused} if some were. The other rows are imported in both cases.`,
    )
    .action(run);
};

async function run(path: string, options: Options): Promise<void> {
  const readRows = (options.format ?? formatByExtension(path)) === 'csv' ? csvRows : jsonRows;
  const interruption = new AbortController();
  const onInterrupt = () => interruption.abort();
  const source = await openImportSource(path, interruption.signal);
  const { dryRun = false, allowAdmin = false, json = false } = options;
  const counts = { created: 0, skipped: 0, refused: 0 };
  const progress = new ProgressLine();
  const summary = () =>
    `${dryRun ? 'would create' : 'created'} ${counts.created}, skipped ${counts.skipped}, refused ${counts.refused}`;
  const onVerdict = ({ line }: FileRow, verdict: ImportVerdict) => {
    counts[verdict.outcome] += 1;
    if (verdict.outcome === 'refused') {
      progress.clear();
      if (json) printJson({ line, refused: verdict.reason });
      else printNotice(`line ${line}: ${verdict.reason}`);
    }
    if (verdict.outcome === 'skipped' && verdict.sameAs !== undefined) {
      progress.clear();
      if (json) printJson({ line, duplicate_of: verdict.sameAs });
      else printNotice(`line ${line}: skipped, its e-mail is that of line ${verdict.sameAs}`);
    }
    progress.show(() => summary() + percentOf(source.progress()));
  };
  // Only the first Ctrl-C: a second one ends the process at once.
  process.once('SIGINT', onInterrupt);
  try {
    await openDatabaseFor({ schema: true }, async (database, settings) =>
      importUsers(
        { database, tokenRoom: await readTokenRoom(database, settings, call) },
        {
          rows: readRows(textLines(source.chunks)),
          dryRun,
          allowAdmin,
          actor: operator,
          positionOf: (row) => row.line,
          onVerdict,
        },
        call,
      ),
    );
  } catch (error) {
    progress.clear();
    printNotice(`not finished: ${summary()}`);
    throw error;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
  progress.clear();
  if (json) printJson({ dry_run: dryRun, ...counts });
  else printLines([summary()]);
  if (counts.refused > 0) process.exitCode = exitCodes.refused;
}

function formatByExtension(path: string): 'csv' | 'jsonl' {
  const extension = extname(path).toLowerCase();
  if (extension === '.csv') return 'csv';
  if (extension === '.jsonl' || extension === '.ndjson') return 'jsonl';
  throw wrongUse(
    path === '-' ? 'the format of standard input is unknown' : 'the file has no extension of a known format',
    'Give --format csv or --format jsonl.',
  );
}

function percentOf(progress: number | undefined): string {
  return progress === undefined ? '' : ` (${Math.floor(progress * 100)} %)`;
}
