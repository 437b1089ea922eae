import { Option } from 'commander';

import { parseSeconds } from '../../../config/quantities.ts';
import { createTrustedIssuer } from '../../../features/workloads/manage-issuers.ts';
import {
  DEFAULT_AGE_SECONDS,
  DEFAULT_ALGORITHMS,
  issuerKinds,
  type IssuerKind,
  MAX_AGE_SECONDS,
} from '../../../features/workloads/trusted-issuer.ts';
import { outsideAlgorithms } from '../../../tokens/verify/outside-key.ts';
import { collectOption, commandCall, type CommandDefinition, operator } from '../../command.ts';
import { wrongUse } from '../../command-failure.ts';
import { openDatabaseFor } from '../../open/open-database-for.ts';
import { printJson, printLines, printNotice } from '../../output.ts';
import { issuerDocument } from './issuer-view.ts';
import { addKeyOptions, type KeyOptions, readKeySource } from './key-options.ts';

const LIMIT_MS = 5_000;

interface Options extends KeyOptions {
  readonly kind: IssuerKind;
  readonly audience?: string;
  readonly algorithm?: readonly string[];
  readonly maxAge?: string;
  readonly once?: boolean;
  readonly json?: boolean;
}

/** `postern issuer add ISSUER [--kind K] [--jwks FILE | --jwks-url URL] …` */
export const issuerAdd: CommandDefinition = (command) => {
  addKeyOptions(command)
    .argument('<issuer>', 'the issuer as its tokens name it in iss, or spiffe:// and a trust domain')
    .addOption(new Option('--kind <kind>', 'what its tokens look like').choices(issuerKinds).default('oidc'))
    .option('--audience <name>', 'what aud must contain (default: POSTERN_ISSUER)')
    .option(
      '--algorithm <name>',
      `one of ${Object.keys(outsideAlgorithms).join(', ')}; may be given several times (default: ${DEFAULT_ALGORITHMS.join(', ')})`,
      collectOption,
    )
    .option('--max-age <duration>', 'how old a token can be, such as 10m (default: 1h)')
    .option('--once', 'accept each token once only, as is right for CI systems')
    .option('--json', 'print JSON')
    .action(async (issuer: string, options: Options) => {
      const { kind, audience, algorithm = DEFAULT_ALGORITHMS, once = false, json } = options;
      const keys = await readKeySource(options);
      const maxAgeSeconds = parseMaxAge(options.maxAge);
      const added = await openDatabaseFor({ schema: true }, (database, settings) => {
        const trusted = {
          issuer,
          kind,
          keys,
          audience: audience ?? settings.issuer,
          algorithms: [...new Set(algorithm)].sort(),
          maxAgeSeconds,
          acceptOnce: once,
        };
        const input = { issuer: trusted, ownIssuer: settings.issuer, actor: operator };
        return createTrustedIssuer({ database }, input, commandCall(LIMIT_MS));
      });
      if (json) {
        printJson(issuerDocument(added));
        return;
      }
      printLines([`id        ${added.id}`, `audience  ${added.audience}`]);
      printNotice('Its tokens give nothing yet: bind an identity with postern service bind.');
    });
};

function parseMaxAge(text: string | undefined): number {
  if (text === undefined) return DEFAULT_AGE_SECONDS;
  const seconds = parseSeconds(text, MAX_AGE_SECONDS);
  if (seconds !== null) return seconds;
  throw wrongUse(
    '--max-age must be a duration from 1s to 1d',
    'Write a number and a unit, such as 10m or 1h.',
  );
}
