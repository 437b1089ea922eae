import { listFactors } from '../../../features/second-factors/list-factors.ts';
import { resetFactors } from '../../../features/second-factors/reset-factors.ts';
import { getUser } from '../../../features/users/get-user.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines, printNotice, printTable } from '../../output.ts';
import { addUserOptions, type UserOptions, userRefOf } from './user-options.ts';

const LIMIT_MS = 5_000;

/** `postern user factors (--email E | --external-id X) [--json]` */
export const userFactors: CommandDefinition = (command) => {
  addUserOptions(command)
    .option('--json', 'print JSON')
    .action(async ({ json, ...options }: UserOptions & { json?: boolean }) => {
      const ref = userRefOf(options);
      const { factors, recoveryCodesLeft } = await openDatabaseFor({ schema: true }, async (database) => {
        const { id: userId } = await getUser({ database }, ref, commandCall(LIMIT_MS));
        return listFactors({ database }, { userId }, commandCall(LIMIT_MS));
      });
      if (json) {
        printJson({
          factors: factors.map(({ id, kind, name, createdAt, lastUsedAt, synced }) => ({
            id,
            kind,
            name,
            created_at: createdAt.toISOString(),
            last_used_at: lastUsedAt?.toISOString() ?? null,
            synced,
          })),
          recovery_codes_left: recoveryCodesLeft,
        });
        return;
      }
      printTable(
        ['ID', 'KIND', 'NAME', 'CREATED', 'LAST USED'],
        factors.map(({ id, kind, name, createdAt, lastUsedAt }) => [
          id,
          kind,
          name,
          createdAt.toISOString(),
          lastUsedAt?.toISOString() ?? 'never',
        ]),
      );
      printNotice(`${recoveryCodesLeft} recovery ${recoveryCodesLeft === 1 ? 'code is' : 'codes are'} left`);
    });
};

/** `postern user reset-factors (--email E | --external-id X) [--json]` */
export const userResetFactors: CommandDefinition = (command) => {
  addUserOptions(command)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      "\nFor somebody who lost their second factors: deletes them with the recovery codes, and ends the user's sessions." +
        '\nThe password stays. Make sure that you talk to the user: whoever knows the password can log in from then on.',
    )
    .action(async ({ json, ...options }: UserOptions & { json?: boolean }) => {
      const user = userRefOf(options);
      const { factors, recoveryCodes, endedSessions } = await openDatabaseFor({ schema: true }, (database) =>
        resetFactors({ database, trust: null }, { user, actor: operator }, commandCall(LIMIT_MS)),
      );
      if (json) printJson({ factors, recovery_codes: recoveryCodes, ended_sessions: endedSessions });
      else
        printLines([
          `deleted ${factors} second ${factors === 1 ? 'factor' : 'factors'} and ${recoveryCodes} recovery ` +
            `${recoveryCodes === 1 ? 'code' : 'codes'}, ended ${endedSessions} ${endedSessions === 1 ? 'session' : 'sessions'}`,
        ]);
    });
};
