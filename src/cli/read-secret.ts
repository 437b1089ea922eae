import { createInterface } from 'node:readline';
import { type Readable, Writable } from 'node:stream';
import { withoutFinalLineEnds } from '../domain/decode-text.ts';
import { Secret } from '../domain/secret.ts';
import { CommandFailure, wrongUse } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';
import { readText } from './read-text.ts';

export interface SecretRequest {
  /** What to ask for, in the prompt and in errors: `password`. */
  readonly name: string;
  /** `--password-stdin`: the secret is all of standard input, except a byte order mark and the line ends at its end. */
  readonly fromStdin: boolean;
  /** A new secret is asked for twice: a typing error would lock its owner out. */
  readonly isNew: boolean;
}

/** Where the secret is typed and where the prompt is printed. Tests pass their own streams. */
export interface SecretTerminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable;
}

/**
 * Reads a password or a secret from the terminal without showing it, or from standard input. It is never an argument,
 * which would appear in the shell history and, to every user of the machine, in the process list.
 */
export async function readSecret(
  request: SecretRequest,
  terminal: SecretTerminal = { input: process.stdin, output: process.stderr },
): Promise<Secret> {
  const { name, fromStdin, isNew } = request;
  const isTerminal = terminal.input.isTTY === true;
  if (fromStdin && isTerminal) {
    throw wrongUse(
      `standard input is a terminal, which would show the ${name}`,
      `Pipe the ${name} in, or omit the option to be asked for it.`,
    );
  }
  if (!fromStdin && !isTerminal) {
    throw wrongUse(`there is no terminal to ask for the ${name}`, `Pipe it in with --${name}-stdin.`);
  }
  if (fromStdin)
    return requireSecret(name, withoutFinalLineEnds(await readText(terminal.input, `the ${name}`)));
  const label = name.charAt(0).toUpperCase() + name.slice(1);
  const [first = '', second] = await askHidden(
    isNew ? [`${label}: `, `${label} again: `] : [`${label}: `],
    terminal,
  );
  const secret = requireSecret(name, first);
  // No constant-time comparison: the same person typed both, so that its duration reveals nothing.
  if (isNew && second !== first) throw wrongUse(`the two ${name}s do not match`, 'Run the command again.');
  return secret;
}

function requireSecret(name: string, text: string): Secret {
  if (text === '') throw wrongUse(`the ${name} is empty`, 'Nothing was changed. Run the command again.');
  return new Secret(text);
}

/**
 * Reads one line for each question and stops at an empty one. Line editing works, but its output is discarded. One reader
 * serves all questions, so that lines which arrive together, for example from a script, are not lost.
 */
async function askHidden(questions: readonly string[], { input, output }: SecretTerminal): Promise<string[]> {
  const discard = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input, output: discard, terminal: true, historySize: 0 });
  const lines = reader[Symbol.asyncIterator]();
  const interruption = new Promise<'interrupted'>((resolve) =>
    reader.once('SIGINT', () => resolve('interrupted')),
  );
  const answers: string[] = [];
  try {
    for (const question of questions) {
      output.write(question);
      const line = await Promise.race([lines.next(), interruption]);
      output.write('\n');
      if (line === 'interrupted')
        throw new CommandFailure(exitCodes.interrupted, 'interrupted', 'Nothing was changed.');
      if (line.done === true)
        throw wrongUse('the input ended before a line was entered', 'Run the command again.');
      answers.push(line.value);
      if (line.value === '') break;
    }
  } finally {
    reader.close();
  }
  return answers;
}
