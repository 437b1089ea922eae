import { ownOrigin } from '../../../domain/operation-call.ts';
import { rotateSigningKey } from '../../../features/signing-keys/rotate-signing-key.ts';
import { type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { openSigningKeys } from '../../open/open-signing-keys.ts';

/** `postern key rotate [--now] [--json]` */
export const keyRotate: CommandDefinition = (command) => {
  command
    .option(
      '--now',
      'sign with the new key at once; verifiers with a cached key set may refuse its tokens for a while',
    )
    .option('--json', 'print JSON')
    .action(async ({ now, json }: { now?: boolean; json?: boolean }) => {
      const key = await openSigningKeys((keys) =>
        rotateSigningKey(keys, {
          now: now === true,
          actor: operator,
          origin: ownOrigin,
        }),
      );
      const activateAt = new Date(key.activateAtMs).toISOString();
      if (json) printJson({ kid: key.kid, activate_at: activateAt });
      else printLines([describe(key, activateAt, now === true)]);
    });
};

function describe(
  { kid, wasPending }: { kid: string; wasPending: boolean },
  activateAt: string,
  now: boolean,
) {
  if (now) return wasPending ? `${kid}, which was pending, signs now` : `${kid} signs now`;
  return wasPending
    ? `${kid} is already pending and signs from ${activateAt}; no key was created (--now makes it sign at once)`
    : `${kid} is published and signs from ${activateAt}`;
}
