import { ownOrigin } from '../../../domain/operation-call.ts';
import { endAllSessions } from '../../../features/authentication/end-all-sessions.ts';
import { type CommandDefinition, operator } from '../../command.ts';
import { printJson, printLines } from '../../output.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { bindingDocument } from '../service/bind.ts';
import { openWithSigningKeys } from '../../open/open-signing-keys.ts';

const origin = { actor: operator, origin: ownOrigin };

interface Options {
  readonly afterRestore?: boolean;
  readonly json?: boolean;
}

/** `postern session end-all [--after-restore] [--json]` */
export const sessionEndAll: CommandDefinition = (command) => {
  command
    .option(
      '--after-restore',
      'also end what a restored backup revives: access tokens, by new signing keys, pending password resets, recovery codes, API keys, and the trust in issuers and certificates',
    )
    .option('--json', 'print JSON')
    .action(async ({ afterRestore, json }: Options) => {
      const result = afterRestore
        ? await openWithSigningKeys((database, keys) =>
            endAllSessions({ database }, { restored: { keys }, ...origin }),
          )
        : await openDatabaseFor({ schema: true }, (database) =>
            endAllSessions({ database }, { restored: null, ...origin }),
          );
      const { endedTrust, apiKeys, usersWithoutRecoveryCodes, ...counts } = result;
      const { issuers = [], certificateBindings = [] } = endedTrust ?? {};
      if (json)
        printJson({
          ...counts,
          api_keys: apiKeys,
          users_without_recovery_codes: usersWithoutRecoveryCodes,
          ...(endedTrust && {
            disabled_issuers: issuers.map(({ issuer }) => issuer),
            deleted_bindings: certificateBindings.map(bindingDocument),
          }),
        });
      else {
        printLines([
          `ended ${result.sessions} ${result.sessions === 1 ? 'session' : 'sessions'}; every user has to log in again`,
        ]);
        if (endedTrust !== null)
          printLines([
            result.active === null
              ? 'there are no signing keys with POSTERN_ALGORITHM=HS256; change POSTERN_SECRET as well'
              : `revoked the signing keys; ${result.active} signs now`,
            `revoked ${apiKeys} API ${apiKeys === 1 ? 'key' : 'keys'}`,
            `deleted the recovery codes of ${usersWithoutRecoveryCodes} ${usersWithoutRecoveryCodes === 1 ? 'user' : 'users'}, who can get new ones with ReplaceRecoveryCodes`,
          ]);
        printLines([
          ...issuers.map(
            ({ issuer }) => `disabled the issuer ${issuer}; review its bindings, then enable it`,
          ),
          ...certificateBindings.map(
            ({ claims: { uri, dns }, accountId }) =>
              `deleted the binding of the certificate ${uri ?? dns ?? ''} to ${accountId}; bind it again if it should be`,
          ),
        ]);
      }
    });
};
