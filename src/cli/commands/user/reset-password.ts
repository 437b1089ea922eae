import { createPasswordReset } from '../../../features/authentication/password-reset/create-password-reset.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { openDigests } from '../../open/open-digests.ts';

const LIMIT_MS = 5_000;

/** `postern user reset-password --email E [--json]` */
export const userResetPassword: CommandDefinition = (command) => {
  command
    .requiredOption('--email <address>', "the user's e-mail address")
    .option('--json', 'print JSON')
    .action(async ({ email, json }: { email: string; json?: boolean }) => {
      const { userId, resetToken, expiresAt } = await openDigests((tools) =>
        createPasswordReset(tools, { user: { email }, actor: operator }, commandCall(LIMIT_MS)),
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
