import type { Command } from 'commander';
import { Secret } from '../../../domain/secret.ts';
import {
  type InspectionOptions,
  inspectToken,
  type TokenInspection,
} from '../../../tokens/verify/inspect-token.ts';
import { CommandFailure } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { loadKeySet } from './load-key-set.ts';
import { printJson, printLines } from '../../output.ts';
import { readSecret } from '../../read-secret.ts';
import { readText, readTextFile, withoutLastNewline } from '../../read-text.ts';
import { describeToken, timesInWords } from './token-report.ts';

interface Options {
  readonly file?: string;
  readonly jwks?: string;
  readonly insecure?: boolean;
  readonly secretFile?: string;
  readonly secretStdin?: boolean;
  readonly issuer?: string;
  readonly audience?: readonly string[];
  readonly json?: boolean;
}

/** `postern token inspect`: everything is decided here, and the token never leaves the machine. */
export function tokenInspect(command: Command): void {
  command
    .argument('[TOKEN]', 'the token; `-`, or nothing in a pipe, reads it from standard input')
    .option('--file <path>', 'read the token from a file')
    .option('--jwks <file|url>', 'check the signature with this key set; of a URL only the set is fetched')
    .option('--insecure', 'allow an http URL of another machine, where something in between encrypts')
    .option('--secret-file <path>', 'check an HS256 signature with the secret in this file')
    .option('--secret-stdin', 'check an HS256 signature with the secret on standard input')
    .option('--issuer <text>', 'require this issuer')
    .option('--audience <name>', 'require one of these audiences; may be given again', addTo)
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `\nEnds with ${exitCodes.ok} when nothing speaks against the token, with ${exitCodes.tokenRefused} when it would be refused.\n` +
        'Without --jwks or --secret-… the signature is not checked: do not take the result for a proof.',
    )
    .action(run);
}

async function run(argument: string | undefined, options: Options): Promise<void> {
  const token = await readToken(argument, options);
  const keys = await readKeys(options);
  const nowMs = Date.now();
  const inspection = await inspectToken(token, {
    ...keys,
    ...(options.issuer !== undefined && { issuer: options.issuer }),
    ...(options.audience !== undefined && { audiences: options.audience }),
    nowMs,
  });
  const keysGiven = Object.keys(keys).length > 0;
  const refused = inspection.problems.length > 0 || (keysGiven && inspection.signature.verdict !== 'valid');
  report(inspection, refused, nowMs / 1000, options.json === true);
  if (refused) {
    const reason = inspection.problems[0]?.reason ?? 'its signature could not be checked with the keys given';
    throw new CommandFailure(
      exitCodes.tokenRefused,
      `the token would be refused: ${reason}`,
      'The report says why.',
    );
  }
}

function report(inspection: TokenInspection, refused: boolean, nowSeconds: number, asJson: boolean): void {
  if (!asJson) {
    printLines(describeToken(inspection, refused, nowSeconds));
    return;
  }
  const { header, claims, signature, problems, notes } = inspection;
  const times = timesInWords(claims, nowSeconds);
  printJson({ refused, header, claims, times, signature, problems, notes });
}

const WAYS_TO_GIVE_IT = 'Give it as TOKEN, with --file, or in a pipe.';

async function readToken(argument: string | undefined, { file, secretStdin }: Options): Promise<string> {
  if (argument !== undefined && file !== undefined)
    throw wrongUse('the token is given twice', 'Leave out TOKEN or --file.');
  if (file !== undefined) {
    const text = withoutLastNewline(await readTextFile(file, 'the token'));
    if (text === '') throw wrongUse('the file holds no token', 'Check what --file names.');
    return text;
  }
  if (argument === '') throw wrongUse('the token is empty', WAYS_TO_GIVE_IT);
  if (argument !== undefined && argument !== '-') return argument;
  if (secretStdin === true)
    throw wrongUse('standard input cannot hold both token and secret', 'Use --file or --secret-file.');
  if (argument === undefined && process.stdin.isTTY) throw wrongUse('there is no token', WAYS_TO_GIVE_IT);
  const text = withoutLastNewline(await readText(process.stdin, 'the token'));
  if (text === '') throw wrongUse('standard input holds no token', WAYS_TO_GIVE_IT);
  return text;
}

async function readKeys(options: Options): Promise<Pick<InspectionOptions, 'jwks' | 'sharedSecret'>> {
  const { jwks, insecure = false, secretFile, secretStdin = false } = options;
  if (secretFile !== undefined && secretStdin)
    throw wrongUse('the secret is given twice', 'Leave out one of the two.');
  const sharedSecret = secretStdin
    ? await readSecret({ name: 'secret', fromStdin: true, isNew: false })
    : secretFile !== undefined &&
      new Secret(withoutLastNewline(await readTextFile(secretFile, 'the secret')));
  return {
    ...(sharedSecret !== false && { sharedSecret }),
    ...(jwks !== undefined && { jwks: await loadKeySet(jwks, insecure) }),
  };
}

function addTo(value: string, earlier: readonly string[] = []): readonly string[] {
  return [...earlier, value];
}

function wrongUse(message: string, advice: string): CommandFailure {
  return new CommandFailure(exitCodes.wrongUse, message, advice);
}
