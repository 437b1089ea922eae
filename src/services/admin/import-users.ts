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

/**
 * The verdicts of this many rows fit into 4 MiB, the maximum size of a response that gRPC clients accept by default.
 */
const MAX_ROWS = 10_000;
const MAX_REASON_LENGTH = 256;

/** The RPC that imports users with their password hashes. */
export function adminImport(dependencies: AdminDependencies): Pick<AdminHandlers, 'importUsers'> {
  return {
    importUsers: async (requests, call): Promise<ImportedUsers> => {
      const messages = requests[Symbol.asyncIterator]();
      try {
        const first = await messages.next();
        const { dryRun = false, allowAdmin = false } = (first.done ? null : first.value.options) ?? {};
        const verdicts: VerdictMessage[] = [];
        const counts = await importUsers(
          dependencies,
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

/**
 * The rows of all messages.
 *
 * @throws Rejected `field-invalid` for more than `MAX_ROWS` rows, options after the first message, or an empty message
 */
async function* rowsOf(
  first: IteratorResult<ImportUsersRequest>,
  others: AsyncIterator<ImportUsersRequest>,
): AsyncGenerator<ImportRow> {
  let rows = 0;
  for (let message = first; !message.done; message = await others.next()) {
    const { options, users } = message.value;
    if (message !== first && options) throw invalidField('options', 'is allowed only in the first message');
    if (!options && users.length === 0)
      throw invalidField(
        'users',
        'must not be empty in a message without options; do not send such a message',
      );
    rows += users.length;
    if (rows > MAX_ROWS)
      throw invalidField(
        'users',
        `must have at most ${MAX_ROWS} rows in one call; send the rest in further calls`,
      );
    for (const { email, passwordHash, roles, disabled, id, externalId } of users) {
      yield {
        email,
        passwordHash: passwordHash || null,
        roles,
        disabled,
        id: id || null,
        externalId: externalId || null,
      };
    }
  }
}

function invalidField(field: string, description: string): Rejected {
  return new Rejected({ kind: 'field-invalid', violations: [{ field, description }] });
}

const outcomes = {
  created: ImportOutcome.CREATED,
  skipped: ImportOutcome.SKIPPED,
  refused: ImportOutcome.REFUSED,
} as const;

function verdictMessage(verdict: ImportVerdict): VerdictMessage {
  const reason = verdict.outcome === 'refused' ? verdict.reason.slice(0, MAX_REASON_LENGTH) : '';
  const duplicateOf = verdict.outcome === 'skipped' ? verdict.sameAs : undefined;
  return { outcome: outcomes[verdict.outcome], reason, duplicateOf };
}
