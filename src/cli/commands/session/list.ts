import { getUser } from '../../../features/users/get-user.ts';
import { type ListedSession, listSessionsOf } from '../../../features/sessions/session-queries.ts';
import { commandCall, type CommandDefinition } from '../../command.ts';
import { printJson, printTable } from '../../output.ts';
import { addUserOptions, type UserOptions, userRefOf } from '../user/user-options.ts';
import { readAllPages } from '../../read-all-pages.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';

const LIMIT_MS = 10_000;

interface Options extends UserOptions {
  readonly all?: boolean;
  readonly json?: boolean;
}

/** `postern session list (--email E | --external-id X) [--all] [--json]` */
export const sessionList: CommandDefinition = (command) => {
  addUserOptions(command)
    .option('--all', 'include sessions that have ended')
    .option('--json', 'print JSON')
    .action(async ({ all: includeEnded = false, json, ...options }: Options) => {
      const ref = userRefOf(options);
      const sessions = await openDatabaseFor({ schema: true }, async (database) => {
        const { id: userId } = await getUser({ database }, ref, commandCall(LIMIT_MS));
        return readAllPages((page) =>
          database.run(commandCall(LIMIT_MS), (db) => listSessionsOf(db, { userId, includeEnded }, page)),
        );
      });
      if (json) printJson(sessions.map(sessionDocument));
      else printTable(['ID', 'AUDIENCE', 'ADDRESS', 'CREATED', 'EXPIRES', 'ENDED'], sessions.map(sessionRow));
    });
};

function sessionRow(session: ListedSession): string[] {
  const { id, audience, clientAddress, createdAt, expiresAt, endedAt } = session;
  const times = [createdAt, expiresAt, endedAt].map((time) => time?.toISOString() ?? '');
  return [id, audience, clientAddress ?? '', ...times];
}

/** A session as `--json` prints it. The names are those of the gRPC contract. */
function sessionDocument(session: ListedSession): object {
  return {
    id: session.id,
    user_id: session.userId,
    audience: session.audience,
    client_address: session.clientAddress,
    user_agent: session.userAgent,
    created_at: session.createdAt.toISOString(),
    refreshed_at: session.refreshedAt?.toISOString() ?? null,
    expires_at: session.expiresAt.toISOString(),
    ended_at: session.endedAt?.toISOString() ?? null,
  };
}
