import { deleteTrustedIssuer } from '../../../features/workloads/manage-issuers.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines } from '../../output.ts';
import { parseIssuerRef } from './issuer-view.ts';

const LIMIT_MS = 5_000;

/** `postern issuer delete ISSUER [--json]` */
export const issuerDelete: CommandDefinition = (command) => {
  command
    .argument('<issuer>', 'the issuer or its id')
    .option('--json', 'print JSON')
    .action(async (text: string, { json }: { json?: boolean }) => {
      const { issuer, revokedTokens } = await openDatabaseFor({ schema: true }, (database) =>
        deleteTrustedIssuer(
          { database, trust: null },
          { issuer: parseIssuerRef(text), actor: operator },
          commandCall(LIMIT_MS),
        ),
      );
      if (json) printJson({ id: issuer.id, issuer: issuer.issuer, revoked_tokens: revokedTokens });
      else printLines([`deleted ${issuer.issuer} and its bindings; ${revokedTokens} tokens are revoked`]);
    });
};
