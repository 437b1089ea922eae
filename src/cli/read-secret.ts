import { withoutFinalLineEnds } from '../domain/decode-text.ts';
import { Secret } from '../domain/secret.ts';
import { wrongUse } from './command-failure.ts';
import { ownTerminal, Prompt, type Terminal } from './prompt.ts';
import { readText } from './read-text.ts';

export interface SecretRequest {
  /** What to ask for, in the prompt and in errors: `password`. */
  readonly name: string;
  /** `--password-stdin`: the secret is all of standard input, except a byte order mark and the line ends at its end. */
  readonly fromStdin: boolean;
  /** A new secret is asked for twice: a typing error would lock its owner out. */
  readonly isNew: boolean;
}

/**
 * Reads a password or a secret from the terminal without showing it, or from standard input. It is never an argument,
 * which would appear in the shell history and, to every user of the machine, in the process list.
 */
export async function readSecret(
  request: SecretRequest,
  terminal: Terminal = ownTerminal(),
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

/** Stops at an empty answer. */
async function askHidden(questions: readonly string[], terminal: Terminal): Promise<string[]> {
  const prompt = new Prompt(terminal);
  const answers: string[] = [];
  try {
    for (const question of questions) {
      const answer = await prompt.ask(question, { hidden: true });
      answers.push(answer);
      if (answer === '') break;
    }
  } finally {
    prompt.close();
  }
  return answers;
}
