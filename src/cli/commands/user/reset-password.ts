import { createPasswordReset } from '../../../features/authentication/password-reset/create-password-reset.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines, tell } from '../../output.ts';
import { openDigests } from '../../open/open-digests.ts';

const LIMIT_MS = 5_000;

/** `postern user reset-password --email E [--json]` */
export const userResetPassword: CommandDefinition = (command) => {
  command
    .requiredOption('--email <address>', 'whose')
    .option('--json', 'print JSON')
    .action(async ({ email, json }: { email: string; json?: boolean }) => {
      const { userId, resetToken, expiresAt } = await openDigests((tools) =>
        createPasswordReset(tools, { user: { email }, actor: operator }, commandCall(LIMIT_MS)),
      );
      const until = expiresAt.toISOString();
      if (json) {
        printJson({ user_id: userId, reset_token: resetToken.reveal(), expires_at: until });
        return;
      }
      printLines([resetToken.reveal()]);
      tell(`Good once, until ${until}, with ResetPassword. One made before it has ended.`);
    });
};
