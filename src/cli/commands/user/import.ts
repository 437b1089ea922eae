import { extname } from 'node:path';
import { type Command, Option } from 'commander';

import { type OperationCall, ownOrigin } from '../../../domain/operation-call.ts';
import type { ImportVerdict } from '../../../features/users/import/import-row.ts';
import { importUsers } from '../../../features/users/import/import-users.ts';
import { operator } from '../../command.ts';
import { CommandFailure } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { csvRows } from '../../import/csv-rows.ts';
import type { FileRow } from '../../import/file-row.ts';
import { openImportSource } from '../../import/import-source.ts';
import { jsonRows } from '../../import/json-rows.ts';
import { textLines } from '../../import/text-lines.ts';
import { printJson, printLines, tell } from '../../output.ts';
import { ProgressLine } from '../../progress-line.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

interface Options {
  readonly format?: 'csv' | 'jsonl';
  readonly dryRun?: boolean;
  readonly allowAdmin?: boolean;
  readonly json?: boolean;
}

/** Each batch has its own limit, and Ctrl-C ends the reading, so that no batch is cut in two. */
const call: OperationCall = {
  deadlineMs: Number.POSITIVE_INFINITY,
  signal: new AbortController().signal,
  origin: ownOrigin,
};

/** `postern user import FILE|- [--format csv|jsonl] [--dry-run] [--allow-admin] [--json]` */
export function userImport(command: Command): void {
  command
    .argument('<FILE>', 'a .csv or .jsonl file; `-` reads standard input')
    .addOption(
      new Option('--format <name>', 'what the file is, unless its name says so').choices(['csv', 'jsonl']),
    )
    .option('--dry-run', 'tell what would become of each row, and change nothing')
    .option('--allow-admin', 'take rows with the role admin, which are refused otherwise')
    .option('--json', 'print one JSON line for each refused row, then one with the counts')
    .addHelpText(
      'after',
      `
Fields: email, password_hash (as the other program stored it; none: a user without a password), roles, disabled.
In JSON lines, roles is a list and disabled is true or false. A CSV file names its columns in its first line and has
spaces or semicolons between roles; a cell with a comma in it must be in quotes.

Users that exist are skipped and never changed: the same file may be imported again.
Ends with ${exitCodes.ok} when no row was refused, with ${exitCodes.refused} when some were; the others are imported all the same.`,
    )
    .action(run);
}

async function run(path: string, options: Options): Promise<void> {
  const rowsOf = (options.format ?? formatByName(path)) === 'csv' ? csvRows : jsonRows;
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
      else tell(`line ${line}: ${verdict.reason}`);
    }
    progress.show(() => summary() + percentOf(source.progress()));
  };
  // Once: a second Ctrl-C ends the process at once.
  process.once('SIGINT', onInterrupt);
  try {
    await openDatabaseFor({ schema: true }, (database) =>
      importUsers(
        database,
        rowsOf(textLines(source.chunks)),
        { dryRun, allowAdmin, actor: operator },
        call,
        onVerdict,
      ),
    );
  } catch (error) {
    progress.clear();
    tell(`not finished: ${summary()}`);
    throw error;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
  progress.clear();
  if (json) printJson({ dry_run: dryRun, ...counts });
  else printLines([summary()]);
  if (counts.refused > 0) process.exitCode = exitCodes.refused;
}

function formatByName(path: string): 'csv' | 'jsonl' {
  const extension = extname(path).toLowerCase();
  if (extension === '.csv') return 'csv';
  if (extension === '.jsonl' || extension === '.ndjson') return 'jsonl';
  throw new CommandFailure(
    exitCodes.wrongUse,
    path === '-'
      ? 'nothing says what standard input holds'
      : 'the name of the file does not say what it holds',
    'Give --format csv or --format jsonl.',
  );
}

function percentOf(progress: number | undefined): string {
  return progress === undefined ? '' : ` (${Math.floor(progress * 100)} %)`;
}
