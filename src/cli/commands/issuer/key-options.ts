import { type Command, Option } from 'commander';

import type { IssuerKeySource } from '../../../features/workloads/trusted-issuer.ts';
import { readText, readTextFile } from '../../read-text.ts';

const KEY_SET = 'the key set';

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
      new Option(
        '--jwks <file>',
        'a file with its key set, - for standard input: nothing is fetched',
      ).conflicts('jwksUrl'),
    )
    .option('--jwks-url <url>', 'the URL of its key set (default: from its discovery document)')
    .option('--ca <file>', 'the CA certificates of the server of the keys, PEM')
    .option('--bearer-file <path>', 'a file on each instance with a token for the server of the keys');
}

export async function readKeySource({ jwksUrl, jwks, ca, bearerFile }: KeyOptions): Promise<IssuerKeySource> {
  return {
    from: jwks !== undefined ? 'static' : jwksUrl !== undefined ? 'url' : 'discovery',
    jwksUrl: jwksUrl ?? '',
    staticJwks: jwks === undefined ? '' : await readKeySet(jwks),
    caPem: ca === undefined ? '' : await readTextFile(ca, 'the CA file', 65_536),
    bearerFile: bearerFile ?? '',
  };
}

/** By `/dev/stdin` it could not be read: in a container the pipe may belong to another user. */
function readKeySet(path: string): Promise<string> {
  return path === '-' ? readText(process.stdin, KEY_SET) : readTextFile(path, KEY_SET);
}
