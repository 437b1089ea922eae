import { createPasswordReset } from '../../../features/authentication/password-reset/create-password-reset.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { addUserOptions, type UserOptions, userRefOf } from './user-options.ts';
import { openDigests } from '../../open/open-digests.ts';

const LIMIT_MS = 5_000;

/** `postern user reset-password (--email E | --external-id X) [--json]` */
export const userResetPassword: CommandDefinition = (command) => {
  addUserOptions(command)
    .option('--json', 'print JSON')
    .action(async ({ json, ...options }: UserOptions & { json?: boolean }) => {
      const user = userRefOf(options);
      const { userId, resetToken, expiresAt } = await openDigests((tools) =>
        createPasswordReset(tools, { user, actor: operator }, commandCall(LIMIT_MS)),
      );
      const expires = expiresAt.toISOString();
      if (json) {
        printJson({ user_id: userId, reset_token: resetToken.reveal(), expires_at: expires });
        return;
      }
      printLines([resetToken.reveal()]);
      printNotice(
        `The token is valid once, for ResetPassword, until ${expires}. Any earlier reset token of the user is invalid.`,
      );
    });
};
