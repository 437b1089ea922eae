import { createInterface } from 'node:readline';
import { type Readable, Writable } from 'node:stream';
import { Secret } from '../domain/secret.ts';
import { CommandFailure } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';
import { readText, withoutLastNewline } from './read-text.ts';

export interface SecretRequest {
  /** What is asked for, as a prompt and in errors: `password`. */
  readonly name: string;
  /** `--password-stdin`: all of standard input is the secret, except one newline at its end. */
  readonly fromStdin: boolean;
  /** Asked for twice: a slip in a new password would lock its owner out. */
  readonly isNew: boolean;
}

/** Where a secret is typed and where the question for it appears; the process's own unless a test brings others. */
export interface SecretTerminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable;
}

/**
 * Reads a password or a secret from the terminal without showing it, or from standard input. There is no third way:
 * an argument would stand in the shell's history and in the process list of every user of the machine.
 */
export async function readSecret(
  request: SecretRequest,
  terminal: SecretTerminal = { input: process.stdin, output: process.stderr },
): Promise<Secret> {
  const { name, fromStdin, isNew } = request;
  const atTerminal = terminal.input.isTTY === true;
  if (fromStdin && atTerminal) {
    throw wrongUse(
      'standard input is a terminal, which would show what is typed',
      'Pipe it in, or leave the option out to be asked.',
    );
  }
  if (!fromStdin && !atTerminal) {
    throw wrongUse(`there is no terminal to ask for the ${name} at`, `Pipe it in with --${name}-stdin.`);
  }
  if (fromStdin) return present(name, withoutLastNewline(await readText(terminal.input, `the ${name}`)));
  const label = name.charAt(0).toUpperCase() + name.slice(1);
  const [first = '', second] = await askUnseen(
    isNew ? [`${label}: `, `${label} again: `] : [`${label}: `],
    terminal,
  );
  const secret = present(name, first);
  // Both were typed here by one person: there is no secret to protect from the time that the comparison takes.
  if (isNew && second !== first)
    throw wrongUse(`the two ${name}s are not the same`, 'Run the command again.');
  return secret;
}

function present(name: string, text: string): Secret {
  if (text === '') throw wrongUse(`the ${name} is empty`, 'Nothing was changed; give one.');
  return new Secret(text);
}

/**
 * Asks one line for each question, and stops at an empty one. Line editing works as usual, but what it would draw goes
 * nowhere. One reader serves all questions: answers that arrive together, as a script types them, are not lost.
 */
async function askUnseen(questions: readonly string[], { input, output }: SecretTerminal): Promise<string[]> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input, output: nowhere, terminal: true, historySize: 0 });
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
      if (line.done === true) throw wrongUse('the input ended before the answer', 'Run the command again.');
      answers.push(line.value);
      if (line.value === '') break;
    }
  } finally {
    reader.close();
  }
  return answers;
}

function wrongUse(message: string, advice: string): CommandFailure {
  return new CommandFailure(exitCodes.wrongUse, message, advice);
}
