import { InvalidArgumentError } from 'commander';

import { InvalidSetting, subjectClaims } from '../../../config/setting-parsers.ts';
import { withoutFinalLineEnds } from '../../../domain/decode-text.ts';
import { Secret } from '../../../domain/secret.ts';
import {
  type InspectionOptions,
  inspectToken,
  type TokenInspection,
} from '../../../tokens/verify/inspect-token.ts';
import { collectOption, type CommandDefinition } from '../../command.ts';
import { CommandFailure, wrongUse } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { loadKeySet } from './load-key-set.ts';
import { printJson, printLines } from '../../output.ts';
import { readSecret } from '../../read-secret.ts';
import { readText, readTextFile } from '../../read-text.ts';
import { describeToken, describeTimes } from './token-report.ts';

interface Options {
  readonly file?: string;
  readonly jwks?: string;
  readonly insecure?: boolean;
  readonly secretFile?: string;
  readonly secretStdin?: boolean;
  readonly issuer?: string;
  readonly audience?: readonly string[];
  readonly legacy?: boolean;
  readonly subject?: readonly string[];
  readonly json?: boolean;
}

/** `postern token inspect`. The token is checked locally and never leaves the machine. */
export const tokenInspect: CommandDefinition = (command) => {
  command
    .argument('[TOKEN]', 'the token; `-`, or no argument in a pipe, reads it from standard input')
    .option('--file <path>', 'read the token from a file')
    .option(
      '--jwks <file|url>',
      'verify the signature with this key set; from a URL, only the key set is fetched',
    )
    .option('--insecure', 'allow an http URL of another machine, for connections encrypted by other means')
    .option('--secret-file <path>', 'verify an HS256 signature with the secret in this file')
    .option('--secret-stdin', 'verify an HS256 signature with the secret on standard input')
    .option('--issuer <text>', 'require this issuer')
    .option('--audience <name>', 'require one of these audiences; may be given several times', collectOption)
    .option('--legacy', 'judge it as a token of an earlier login (POSTERN_LEGACY_HS256_SECRET)')
    .option(
      '--subject <claims>',
      'with --legacy: the claims that can name the user, as in POSTERN_LEGACY_HS256_SUBJECT',
      parseSubjectClaims,
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nThe exit code is ${exitCodes.ok} if no problem was found, and ${exitCodes.tokenRefused} if the token would be refused.\n` +
        'Without --jwks, --secret-file or --secret-stdin the signature is not checked, so that the result proves nothing.',
    )
    .action(run);
};

function parseSubjectClaims(text: string): readonly string[] {
  try {
    return subjectClaims(text);
  } catch (error) {
    if (error instanceof InvalidSetting) throw new InvalidArgumentError(`It ${error.message}.`);
    throw error;
  }
}

async function run(argument: string | undefined, options: Options): Promise<void> {
  const { legacy, subject } = options;
  if (subject !== undefined && legacy !== true)
    throw wrongUse('--subject is only for tokens of an earlier login', 'Add --legacy, or omit --subject.');
  const token = await readToken(argument, options);
  const keys = await readKeys(options);
  const nowMs = Date.now();
  const inspection = await inspectToken(token, {
    ...keys,
    ...(options.issuer !== undefined && { issuer: options.issuer }),
    ...(options.audience !== undefined && { audiences: options.audience }),
    ...(legacy !== undefined && { legacy }),
    ...(subject !== undefined && { subjectClaims: subject }),
    nowMs,
  });
  const keysGiven = Object.keys(keys).length > 0;
  const refused = inspection.problems.length > 0 || (keysGiven && inspection.signature.verdict !== 'valid');
  printReport(inspection, refused, nowMs / 1000, options.json === true);
  if (refused) {
    const reason = inspection.problems[0]?.reason ?? 'the given keys could not verify its signature';
    throw new CommandFailure(
      exitCodes.tokenRefused,
      `the token would be refused: ${reason}`,
      'The report on standard output says why.',
    );
  }
}

function printReport(
  inspection: TokenInspection,
  refused: boolean,
  nowSeconds: number,
  asJson: boolean,
): void {
  if (!asJson) {
    printLines(describeToken(inspection, refused, nowSeconds));
    return;
  }
  const { header, claims, signature, problems, notes } = inspection;
  const times = describeTimes(claims, nowSeconds);
  printJson({ refused, header, claims, times, signature, problems, notes });
}

const TOKEN_ADVICE = 'Give it as TOKEN, with --file, or in a pipe.';

async function readToken(argument: string | undefined, { file, secretStdin }: Options): Promise<string> {
  if (argument !== undefined && file !== undefined)
    throw wrongUse('the token is given twice', 'Omit TOKEN or --file.');
  if (file !== undefined) {
    const text = withoutFinalLineEnds(await readTextFile(file, 'the token'));
    if (text === '') throw wrongUse('the file is empty', 'Check the path given with --file.');
    return text;
  }
  if (argument === '') throw wrongUse('the token is empty', TOKEN_ADVICE);
  if (argument !== undefined && argument !== '-') return argument;
  if (secretStdin === true)
    throw wrongUse(
      'standard input cannot carry both the token and the secret',
      'Use --file or --secret-file.',
    );
  if (argument === undefined && process.stdin.isTTY) throw wrongUse('there is no token', TOKEN_ADVICE);
  const text = withoutFinalLineEnds(await readText(process.stdin, 'the token'));
  if (text === '') throw wrongUse('standard input is empty', TOKEN_ADVICE);
  return text;
}

async function readKeys(options: Options): Promise<Pick<InspectionOptions, 'jwks' | 'sharedSecret'>> {
  const { jwks, insecure = false, secretFile, secretStdin = false } = options;
  if (secretFile !== undefined && secretStdin)
    throw wrongUse('the secret is given twice', 'Omit --secret-file or --secret-stdin.');
  const sharedSecret = secretStdin
    ? await readSecret({ name: 'secret', fromStdin: true, isNew: false })
    : secretFile !== undefined &&
      new Secret(withoutFinalLineEnds(await readTextFile(secretFile, 'the secret')));
  return {
    ...(sharedSecret !== false && { sharedSecret }),
    ...(jwks !== undefined && { jwks: await loadKeySet(jwks, insecure) }),
  };
}
