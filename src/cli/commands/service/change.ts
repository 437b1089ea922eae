import { parseServiceRef } from '../../../features/service-accounts/service-account-name.ts';
import { updateServiceAccount } from '../../../features/service-accounts/update-service-account.ts';
import { collectOption, commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines } from '../../output.ts';
import { audiencesOf } from '../../open/audiences-of.ts';
import { accountDocument, audienceList } from './account-view.ts';
import { addAudienceOptions, type AudienceOptions } from './audience-options.ts';

const LIMIT_MS = 5_000;

interface Options extends AudienceOptions {
  readonly role?: readonly string[];
  /** False with `--no-roles`. */
  readonly roles?: boolean;
  readonly json?: boolean;
}

/** `postern service change NAME [--role R]... [--no-roles] [--allowed-audiences A,B] [--own-audiences …] [--delegation-audiences …] [--json]` */
export const serviceChange: CommandDefinition = (command) => {
  addAudienceOptions(
    command
      .argument('<name>', 'the name or the client id of the account')
      .option(
        '--role <name>',
        'a role, which replaces the current ones; may be given several times',
        collectOption,
      )
      .option('--no-roles', 'remove all roles'),
  )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      "\nWhat is not given stays as it is. '' is an empty list. Tokens that have what the account loses are revoked.",
    )
    .action(async (name: string, { role, roles, json, ...audiences }: Options) => {
      const newRoles = roles === false ? [] : role;
      if (roles === false && role !== undefined)
        throw wrongUse('--role and --no-roles exclude each other', 'Give one of them.');
      if (newRoles === undefined && Object.keys(audiences).length === 0)
        throw wrongUse(
          'nothing to change was given',
          'Give --role, --no-roles or one of the lists of audiences.',
        );
      const account = await openDatabaseFor({ schema: true }, (database, settings) =>
        updateServiceAccount(
          { database, trust: null, audiences: audiencesOf(settings) },
          {
            account: parseServiceRef(name),
            changes: { ...(newRoles !== undefined && { roles: newRoles }), ...audiences },
            actor: operator,
          },
          commandCall(LIMIT_MS),
        ),
      );
      if (json) printJson(accountDocument(account));
      else
        printLines([
          `${account.name}: ${account.roles.join(', ') || 'no roles'}`,
          `may ask for       ${audienceList(account.allowedAudiences)}`,
          `serves            ${audienceList(account.ownAudiences)}`,
          `may act towards   ${audienceList(account.delegationAudiences)}`,
        ]);
    });
};
