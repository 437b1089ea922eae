import { ownOrigin } from '../../domain/call-origin.ts';
import { revokeSigningKey } from '../../operations/revoke-signing-key.ts';
import { operator } from '../command-call.ts';
import type { CommandDefinition } from '../command-definition.ts';
import { printJson, printLines } from '../output.ts';
import { withKeys } from '../with-keys.ts';

/** `postern key revoke KID [--json]` */
export const keyRevoke: CommandDefinition = (command) => {
  command
    // One kid in 64 begins with a hyphen (base64url), and must not be taken for an option in an emergency.
    .allowUnknownOption()
    .argument('<kid>', 'the key, as key list shows it')
    .option('--json', 'print JSON')
    .action(async (kid: string, { json }: { json?: boolean }) => {
      const { active } = await withKeys(({ database, policy, masterKeys }) =>
        revokeSigningKey(database, policy, masterKeys, { kid, actor: operator, origin: ownOrigin }),
      );
      if (json) printJson({ revoked: kid, active });
      else printLines([`${kid} is revoked; ${active} signs`]);
    });
};
