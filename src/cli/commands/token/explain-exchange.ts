import { statusOf } from '../../../rpc/rejection-status.ts';
import { withoutFinalLineEnds } from '../../../domain/decode-text.ts';
import { type ExchangeExplanation, explainExchange } from '../../../features/workloads/explain-exchange.ts';
import { fetchIssuerKeys } from '../../../features/workloads/fetch-issuer-keys.ts';
import { IssuerKeys } from '../../../features/workloads/issuer-keys.ts';
import { commandCall, type CommandDefinition, operator } from '../../command.ts';
import { CommandFailure, wrongUse } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { readText, readTextFile } from '../../read-text.ts';

const LIMIT_MS = 15_000;

interface Options {
  readonly file?: string;
  readonly json?: boolean;
}

/** `postern token explain-exchange [--file PATH] [--json]`. The token is never an argument, and is not used up. */
export const tokenExplainExchange: CommandDefinition = (command) => {
  command
    .option('--file <path>', 'read the token from a file (default: standard input)')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nThe exit code is ${exitCodes.ok} if the token would be exchanged, and ${exitCodes.tokenRefused} if it would be refused.\n` +
        'The keys of the issuer are fetched from this machine, with its POSTERN_ISSUER_NETWORKS. The run is audited.',
    )
    .action(async ({ file, json }: Options) => {
      if (file === undefined && process.stdin.isTTY)
        throw wrongUse('there is no token', 'Give it with --file, or in a pipe.');
      const text = file === undefined ? await readText(process.stdin, 'the token') : await readTextFile(file, 'the token'); // prettier-ignore
      const token = withoutFinalLineEnds(text);
      const explanation = await openDatabaseFor({ schema: true }, (database, { issuerNetworks }) => {
        const issuerKeys = new IssuerKeys({
          fetch: (issuer) => fetchIssuerKeys(issuer, { networks: issuerNetworks }),
          nowMs: () => performance.now(),
          onFault: (_issuer, fault) => printNotice(`the keys of the issuer cannot be fetched: ${fault}`),
        });
        const dependencies = { database, issuerKeys, nowMs: Date.now };
        return explainExchange(dependencies, { token, actor: operator }, commandCall(LIMIT_MS));
      });
      report(explanation, json === true);
    });
};

function report({ issuer, refused, bindings }: ExchangeExplanation, asJson: boolean): void {
  const status = refused && statusOf(refused.rejection);
  const matching = bindings.filter(({ mismatches }) => mismatches.length === 0);
  const accepted = status === null && matching.length > 0;
  if (asJson)
    printJson({
      accepted,
      issuer: issuer?.issuer ?? null,
      refused: refused && { step: refused.step, reason: status?.reason, message: status?.message },
      bindings,
    });
  else
    printLines([
      `issuer     ${issuer?.issuer ?? 'none that is trusted and enabled'}`,
      ...(refused
        ? [`refused    at the check of the ${refused.step}: ${status?.message ?? ''}`]
        : ['valid      yes']),
      ...bindings.map(({ id, service, mismatches }) =>
        mismatches.length === 0
          ? `binding    ${id} to ${service}: matches`
          : `binding    ${id} to ${service}: the token has another value, or none, at ${mismatches.join(', ')}`,
      ),
      ...(refused === null && bindings.length === 0
        ? ['binding    none: create one with postern service bind']
        : []),
    ]);
  if (accepted) return;
  throw new CommandFailure(
    exitCodes.tokenRefused,
    `the token would be refused: ${status?.reason ?? 'IDENTITY_NOT_BOUND'}`,
    'The report on standard output says why.',
  );
}
