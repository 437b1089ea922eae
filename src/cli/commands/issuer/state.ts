import { updateTrustedIssuer } from '../../../features/workloads/manage-issuers.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines } from '../../output.ts';
import { parseIssuerRef } from './issuer-view.ts';

const LIMIT_MS = 5_000;

function setDisabled(disabled: boolean): CommandDefinition {
  return (command) => {
    command
      .argument('<issuer>', 'the issuer or its id')
      .option('--json', 'print JSON')
      .action(async (issuer: string, { json }: { json?: boolean }) => {
        const result = await openDatabaseFor({ schema: true }, (database) =>
          updateTrustedIssuer(
            { database, trust: null },
            { issuer: parseIssuerRef(issuer), keys: null, disabled, actor: operator },
            commandCall(LIMIT_MS),
          ),
        );
        const { id, issuer: name } = result.issuer;
        if (json) printJson({ id, issuer: name, disabled, revoked_tokens: result.revokedTokens });
        else if (disabled)
          printLines([`disabled ${name} (${id}); ${result.revokedTokens} tokens are revoked`]);
        else printLines([`enabled ${name} (${id})`]);
      });
  };
}

/** `postern issuer disable ISSUER [--json]` */
export const issuerDisable = setDisabled(true);
/** `postern issuer enable ISSUER [--json]` */
export const issuerEnable = setDisabled(false);
