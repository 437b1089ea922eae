import { rewrapSigningKeys } from '../../../features/signing-keys/rewrap-signing-keys.ts';
import type { CommandDefinition } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { openSigningKeys } from '../../open/open-signing-keys.ts';

/** `postern key rewrap [--json]`, with the old master key in POSTERN_MASTER_KEY_PREVIOUS */
export const keyRewrap: CommandDefinition = (command) => {
  command.option('--json', 'print JSON').action(async ({ json }: { json?: boolean }) => {
    const result = await openSigningKeys(rewrapSigningKeys);
    if (json) printJson(result);
    else {
      printLines([
        `sealed ${result.rewrapped} keys with the current master key; ${result.already} were sealed with it already`,
      ]);
    }
  });
};
