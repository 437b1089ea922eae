import { type AuthClient, createAuthClient } from '../../client/auth-client.ts';
import { isLocalTarget, isTarget } from '../../client/channel.ts';
import { PosternError } from '../../client/postern-error.ts';
import type { CommandDefinition } from '../command.ts';
import { CommandFailure, wrongUse } from '../command-failure.ts';
import { exitCodes } from '../exit-codes.ts';
import { printJson, printLines } from '../output.ts';
import { interrupted, ownTerminal, Prompt } from '../prompt.ts';
import { readText } from '../read-text.ts';
import { withoutFinalLineEnds } from '../../domain/decode-text.ts';
import { errorText } from '../../domain/error-text.ts';

const DEFAULT_ADDRESS = '127.0.0.1:50051';
const LIMIT_MS = 10_000;

interface Options {
  readonly address: string;
  readonly email?: string;
  readonly passwordStdin?: boolean;
  readonly audience?: string;
  readonly tls?: boolean;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly insecure?: boolean;
  readonly json?: boolean;
}

/** `postern login [--address A] [--email E] [--password-stdin]`. The only command that logs in at a running service. */
export const login: CommandDefinition = (command) => {
  command
    .option(
      '--address <address>',
      'address of the service: HOST:PORT, unix:PATH or dns:///NAME:PORT',
      DEFAULT_ADDRESS,
    )
    .option('--email <address>', 'the e-mail address; asked for without it')
    .option(
      '--password-stdin',
      'read the password from standard input, and a code, if the user has a second factor, from its second line',
    )
    .option('--audience <name>', 'the audience of the token; without it, the default audience')
    .option('--tls', 'connect with TLS and trust the certificate authorities of the system')
    .option('--ca <file>', 'connect with TLS and trust the certificate authorities in this PEM file')
    .option('--cert <file>', 'a client certificate for mutual TLS, a PEM file')
    .option('--key <file>', 'its private key, a PEM file')
    .option('--insecure', 'allow plaintext to another machine, for connections encrypted by other means')
    .option('--json', 'print JSON, with the refresh token')
    .addHelpText(
      'after',
      '\nStandard output has the access token alone, for example:' +
        '\n  grpcurl -plaintext -H "authorization: Bearer $(postern login --email ann@example.com)" …' +
        '\nNothing is stored.',
    )
    .action(run);
};

async function run(options: Options): Promise<void> {
  const client = openClient(options);
  const answers = options.passwordStdin === true ? await pipedAnswers(options) : typedAnswers(options);
  try {
    const tokens = await logIn(client, options, answers);
    if (options.json === true)
      printJson({
        access_token: tokens.accessToken,
        expires_in: tokens.expiresIn,
        refresh_token: tokens.refreshToken,
        refresh_expires_in: tokens.refreshExpiresIn,
      });
    else printLines([tokens.accessToken]);
  } finally {
    answers.close();
    client.close();
  }
}

/** What the user knows, from a terminal or from a pipe. */
export interface Answers {
  readonly email: () => Promise<string>;
  readonly password: () => Promise<string>;
  /** Sent with the first call; empty to wait until the service asks for it. */
  readonly firstCode: string;
  /** @param label what to ask for */
  readonly code: (label: string) => Promise<string>;
  /** Aborted by Ctrl-C. */
  readonly interruption: AbortSignal | null;
  close(): void;
}

/** Logs in, with a code when the service asks for one. @throws CommandFailure */
export async function logIn(
  client: Pick<AuthClient, 'login'>,
  { address, audience }: Pick<Options, 'address' | 'audience'>,
  answers: Answers,
): ReturnType<AuthClient['login']> {
  const credentials = {
    email: await answers.email(),
    password: await answers.password(),
    ...(audience !== undefined && { audience }),
  };
  const attempt = (code: string) =>
    client.login(
      { ...credentials, ...(code !== '' && { code }) },
      { deadlineMs: LIMIT_MS, ...(answers.interruption && { signal: answers.interruption }) },
    );
  try {
    try {
      return await attempt(answers.firstCode);
    } catch (error) {
      const isAsked = error instanceof PosternError && error.reason === 'SECOND_FACTOR_REQUIRED';
      if (!isAsked) throw error;
      return await attempt(await answers.code(codeLabel(error.factors)));
    }
  } catch (error) {
    if (answers.interruption?.aborted === true) throw interrupted();
    throw error instanceof PosternError ? explainRefusal(error, address) : error;
  }
}

/** A recovery code is never asked for first: each can be used once. */
function codeLabel(factors: readonly string[]): string {
  if (factors.includes('totp')) return 'Code of the authenticator app, or a recovery code: ';
  if (factors.includes('recovery')) return 'Recovery code: ';
  throw new CommandFailure(
    exitCodes.refused,
    'the user has no second factor but a passkey, and this command cannot use a passkey',
    'Log in with a browser, or add an authenticator app.',
  );
}

function typedAnswers({ email }: Options): Answers {
  const terminal = ownTerminal();
  if (terminal.input.isTTY !== true)
    throw wrongUse('there is no terminal to ask for the password', 'Pipe it in with --password-stdin.');
  const prompt = new Prompt(terminal);
  return {
    email: async () => email ?? required('e-mail', await prompt.ask('E-mail: ', { hidden: false })),
    password: async () => required('password', await prompt.ask('Password: ', { hidden: true })),
    firstCode: '',
    code: async (label) => required('code', await prompt.ask(label, { hidden: true })),
    interruption: prompt.interruption,
    close: () => prompt.close(),
  };
}

async function pipedAnswers({ email }: Options): Promise<Answers> {
  if (email === undefined) throw wrongUse('--password-stdin needs --email', 'Give --email.');
  if (process.stdin.isTTY)
    throw wrongUse(
      'standard input is a terminal, which would show the password',
      'Pipe the password in, or omit --password-stdin to be asked for it.',
    );
  const text = withoutFinalLineEnds(await readText(process.stdin, 'the password'));
  const [password = '', code = '', ...rest] = text.split(/\r\n|\n|\r/);
  if (rest.length > 0)
    throw wrongUse(
      'standard input has more than two lines',
      'Its first line is the password, its second a code.',
    );
  required('password', password);
  return {
    email: () => Promise.resolve(email),
    password: () => Promise.resolve(password),
    firstCode: code,
    code: () => {
      throw new CommandFailure(
        exitCodes.refused,
        'the user has a second factor, and standard input has no code',
        'Put a code on its second line.',
      );
    },
    interruption: null,
    close: () => undefined,
  };
}

function required(name: string, text: string): string {
  if (text === '') throw wrongUse(`the ${name} is empty`, 'Run the command again.');
  return text;
}

function openClient({ address, tls, ca, cert, key, insecure }: Options): AuthClient {
  if (!isTarget(address))
    throw wrongUse(
      '--address is not an address',
      'Write HOST:PORT, [IPv6]:PORT, unix:PATH, dns:///NAME:PORT or ipv4:ADDRESS:PORT,ADDRESS:PORT.',
    );
  if ((cert === undefined) !== (key === undefined))
    throw wrongUse('--cert and --key belong together', 'Give both, or neither.');
  const withTls = tls === true || ca !== undefined || cert !== undefined;
  if (!withTls && insecure !== true && !isLocalTarget(address))
    throw wrongUse(
      `the password would leave this machine in plaintext on the way to ${address}`,
      'Give --tls or --ca FILE, or --insecure if the connection is encrypted by other means.',
    );
  const files = {
    ...(ca !== undefined && { caFile: ca }),
    ...(cert !== undefined && { certFile: cert }),
    ...(key !== undefined && { keyFile: key }),
  };
  try {
    return createAuthClient({
      address,
      insecure: insecure === true,
      ...(withTls && { tls: files }),
    });
  } catch (cause) {
    throw new CommandFailure(
      exitCodes.settings,
      `the files for TLS cannot be used: ${errorText(cause)}`,
      'Check --ca, --cert and --key.',
      { cause },
    );
  }
}

/** The cause alone, on one line: grpc-js puts the states of its load balancer around it. */
export function connectionFault(message: string): string {
  const cause = message.split('Last error: ').at(-1) ?? message;
  return cause
    .replace(/\. Resolution note:.*$/s, '')
    .replace(/^Error: /, '')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** What the service answered, as a sentence for a person at a terminal. */
function explainRefusal(error: PosternError, address: string): CommandFailure {
  const failure = (code: (typeof exitCodes)[keyof typeof exitCodes], message: string, advice: string) =>
    new CommandFailure(code, message, advice, { cause: error });
  const { reason, retryDelayMs, message } = error;
  if (reason === null)
    return failure(
      exitCodes.unavailable,
      `the service at ${address} does not answer: ${connectionFault(message)}`,
      'Check --address, that the service is running, and whether it wants TLS (--tls or --ca).',
    );
  if (reason === 'INVALID_CREDENTIALS')
    return failure(
      exitCodes.refused,
      'the e-mail or the password is wrong',
      'Check them and run the command again.',
    );
  if (reason === 'SECOND_FACTOR_INVALID')
    return failure(
      exitCodes.refused,
      'the code is wrong, too old or used',
      'Wait for the next code, check the clock of the device, or use a recovery code.',
    );
  return retryDelayMs === null
    ? failure(exitCodes.refused, message, `The service refused the login: ${reason}.`)
    : failure(exitCodes.unavailable, message, `Try again in ${Math.ceil(retryDelayMs / 1000)} seconds.`);
}
