import { Option } from 'commander';

import { parseServiceRef } from '../../../features/service-accounts/service-account-name.ts';
import type { WorkloadBinding } from '../../../features/workloads/binding-queries.ts';
import { createBinding } from '../../../features/workloads/manage-bindings.ts';
import { collectOption, commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines } from '../../output.ts';
import { parseIssuerRef } from '../issuer/issuer-view.ts';

const LIMIT_MS = 5_000;

interface Options {
  readonly issuer?: string;
  readonly claim?: readonly string[];
  readonly certificate?: string;
  readonly role?: readonly string[];
  readonly json?: boolean;
}

/** `postern service bind NAME (--issuer I --claim K=V... | --certificate NAME) [--role R]... [--json]` */
export const serviceBind: CommandDefinition = (command) => {
  command
    .argument('<name>', 'the name or the client id of the account')
    .option('--issuer <issuer>', 'the trusted issuer or its id')
    .option(
      '--claim <path=value>',
      'a claim that a token must have, such as sub=…; may be given several times',
      collectOption,
    )
    .addOption(
      new Option(
        '--certificate <name>',
        'a URI or DNS name of a client certificate, in place of an issuer',
      ).conflicts(['issuer', 'claim']),
    )
    .option('--role <name>', 'the only roles of its tokens; may be given several times', collectOption)
    .option('--json', 'print JSON')
    .action(async (name: string, { issuer, claim = [], certificate, role = [], json }: Options) => {
      if (issuer === undefined && certificate === undefined)
        throw wrongUse('no identity is given', 'Give --issuer and --claim, or --certificate.');
      const claims =
        certificate === undefined
          ? Object.fromEntries(claim.map(parseClaim))
          : { [certificate.includes(':') ? 'uri' : 'dns']: certificate };
      if (certificate === undefined && Object.keys(claims).length < claim.length)
        throw wrongUse('a claim is given twice', 'Give each claim once; all of them must match.');
      const binding = await openDatabaseFor({ schema: true }, (database) =>
        createBinding(
          { database },
          {
            issuer: issuer === undefined ? null : parseIssuerRef(issuer),
            account: parseServiceRef(name),
            claims,
            roles: role,
            actor: operator,
          },
          commandCall(LIMIT_MS),
        ),
      );
      if (json) printJson(bindingDocument(binding));
      else printLines([`id  ${binding.id}`]);
    });
};

function parseClaim(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw wrongUse(
    '--claim must be a path, = and a value',
    'Write it as --claim sub=system:serviceaccount:shop:billing.',
  );
}

/** A binding as `--json` prints it. The names are those of the gRPC contract. */
export function bindingDocument({
  id,
  issuerId,
  accountId,
  claims,
  roles,
  createdAt,
}: WorkloadBinding): object {
  return {
    id,
    issuer_id: issuerId,
    client_id: accountId,
    claims,
    roles: roles ?? [],
    created_at: createdAt.toISOString(),
  };
}
