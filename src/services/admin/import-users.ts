import type { ImportRow, ImportVerdict } from '../../features/users/import/import-row.ts';
import { Rejected } from '../../domain/rejection.ts';
import {
  type ImportedUsers,
  ImportOutcome,
  type ImportUsersRequest,
  type ImportVerdict as VerdictMessage,
} from '../../generated/postern/v1/admin.ts';
import { importUsers } from '../../features/users/import/import-users.ts';
import { actorOf, type AdminHandlers, type AdminDependencies } from './admin-dependencies.ts';

/** Their verdicts fit into the 4 MiB that clients take as an answer. */
const MAX_ROWS = 10_000;
const MAX_REASON_LENGTH = 256;

/** The RPC that takes users from another program. */
export function adminImport(tools: AdminDependencies): Pick<AdminHandlers, 'importUsers'> {
  return {
    importUsers: async (requests, call): Promise<ImportedUsers> => {
      const messages = requests[Symbol.asyncIterator]();
      try {
        const first = await messages.next();
        const { dryRun = false, allowAdmin = false } = (first.done ? null : first.value.options) ?? {};
        const verdicts: VerdictMessage[] = [];
        const counts = await importUsers(
          tools,
          {
            rows: rowsOf(first, messages),
            dryRun,
            allowAdmin,
            actor: actorOf(call),
            onVerdict: (_row, verdict) => verdicts.push(verdictMessage(verdict)),
          },
          call,
        );
        return { verdicts, ...counts };
      } finally {
        await messages.return?.();
      }
    },
  };
}

/** @throws Rejected `field-invalid` for a stream that has no end, says something else half-way, or says nothing in a message */
async function* rowsOf(
  first: IteratorResult<ImportUsersRequest>,
  others: AsyncIterator<ImportUsersRequest>,
): AsyncGenerator<ImportRow> {
  let rows = 0;
  for (let message = first; !message.done; message = await others.next()) {
    const { options, users } = message.value;
    if (message !== first && options) throw refused('options', 'must be in the first message only');
    if (!options && users.length === 0)
      throw refused('users', 'must not be empty in a message without options; leave the message out');
    rows += users.length;
    if (rows > MAX_ROWS)
      throw refused('users', `must be at most ${MAX_ROWS} in one call; send the rest in another`);
    for (const { email, passwordHash, roles, disabled } of users) {
      yield { email, passwordHash: passwordHash === '' ? null : passwordHash, roles, disabled };
    }
  }
}

function refused(field: string, description: string): Rejected {
  return new Rejected({ kind: 'field-invalid', violations: [{ field, description }] });
}

const outcomes = {
  created: ImportOutcome.CREATED,
  skipped: ImportOutcome.SKIPPED,
  refused: ImportOutcome.REFUSED,
} as const;

function verdictMessage(verdict: ImportVerdict): VerdictMessage {
  const reason = verdict.outcome === 'refused' ? verdict.reason.slice(0, MAX_REASON_LENGTH) : '';
  return { outcome: outcomes[verdict.outcome], reason };
}
