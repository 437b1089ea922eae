import { ownOrigin } from '../../../domain/operation-call.ts';
import { revokeSigningKey } from '../../../features/signing-keys/revoke-signing-key.ts';
import { type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { openSigningKeys } from '../../open/open-signing-keys.ts';

/** `postern key revoke KID [--json]` */
export const keyRevoke: CommandDefinition = (command) => {
  command
    // One kid in 64 begins with a hyphen (base64url). It must not be parsed as an option, least of all in an emergency.
    .allowUnknownOption()
    .argument('<kid>', 'the key id, as key list prints it')
    .option('--json', 'print JSON')
    .action(async (kid: string, { json }: { json?: boolean }) => {
      const { active } = await openSigningKeys((keys) =>
        revokeSigningKey(keys, { kid, actor: operator, origin: ownOrigin }),
      );
      if (json) printJson({ revoked: kid, active });
      else printLines([`revoked ${kid}; ${active} signs now`]);
    });
};
