import { type Command, Option } from 'commander';

import type { IssuerKeySource } from '../../../features/workloads/trusted-issuer.ts';
import { readTextFile } from '../../read-text.ts';

/** Where the keys of an issuer come from, as options say it. */
export interface KeyOptions {
  readonly jwksUrl?: string;
  readonly jwks?: string;
  readonly ca?: string;
  readonly bearerFile?: string;
}

export function addKeyOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--jwks <file>', 'a file with its key set: nothing is fetched').conflicts('jwksUrl'),
    )
    .option('--jwks-url <url>', 'the URL of its key set (default: from its discovery document)')
    .option('--ca <file>', 'the CA certificates of the server of the keys, PEM')
    .option('--bearer-file <path>', 'a file on each instance with a token for the server of the keys');
}

export async function readKeySource({ jwksUrl, jwks, ca, bearerFile }: KeyOptions): Promise<IssuerKeySource> {
  return {
    from: jwks !== undefined ? 'static' : jwksUrl !== undefined ? 'url' : 'discovery',
    jwksUrl: jwksUrl ?? '',
    staticJwks: jwks === undefined ? '' : await readTextFile(jwks, 'the key set', 65_536),
    caPem: ca === undefined ? '' : await readTextFile(ca, 'the CA file', 65_536),
    bearerFile: bearerFile ?? '',
  };
}
