import { updateTrustedIssuer } from '../../../features/workloads/manage-issuers.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines } from '../../output.ts';
import { issuerDocument, parseIssuerRef } from './issuer-view.ts';
import { addKeyOptions, type KeyOptions, readKeySource } from './key-options.ts';

const LIMIT_MS = 5_000;

/** `postern issuer set-keys ISSUER [--jwks FILE | --jwks-url URL] [--ca FILE] [--bearer-file PATH] [--json]` */
export const issuerSetKeys: CommandDefinition = (command) => {
  addKeyOptions(command)
    .argument('<issuer>', 'the issuer or its id')
    .option('--json', 'print JSON')
    .action(async (text: string, options: KeyOptions & { readonly json?: boolean }) => {
      const keys = await readKeySource(options);
      const { issuer } = await openDatabaseFor({ schema: true }, (database) =>
        updateTrustedIssuer(
          { database, trust: null },
          { issuer: parseIssuerRef(text), keys, disabled: null, actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      if (options.json) printJson(issuerDocument(issuer));
      else printLines([`replaced the keys of ${issuer.issuer} (${issuer.id})`]);
    });
};
