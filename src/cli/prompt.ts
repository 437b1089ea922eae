import { createInterface, type Interface } from 'node:readline';
import { type Readable, Writable } from 'node:stream';

import { CommandFailure, wrongUse } from './command-failure.ts';
import { exitCodes } from './exit-codes.ts';

/** Where answers are typed and questions are printed. Tests pass their own streams. */
export interface Terminal {
  readonly input: Readable & { readonly isTTY?: boolean };
  readonly output: Writable;
}

/** The terminal of this process. Questions go to standard error: standard output is for data. */
export const ownTerminal = (): Terminal => ({ input: process.stdin, output: process.stderr });

/**
 * Asks questions at a terminal, one line each. One reader serves all of them, so that lines which arrive together, for example
 * from a script, are not lost.
 */
export class Prompt {
  readonly #output: Writable;
  readonly #reader: Interface;
  readonly #lines: AsyncIterator<string>;
  readonly #interruption = new AbortController();
  readonly #interrupted: Promise<'interrupted'>;
  /** Between two questions as well: what is typed ahead may be a password. */
  #isHidden = true;
  /** The input has ended. Lines that came before may still wait for their question. */
  #hasEnded = false;

  constructor({ input, output }: Terminal) {
    this.#output = output;
    const echo = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (!this.#isHidden) output.write(chunk);
        done();
      },
    });
    this.#reader = createInterface({ input, output: echo, terminal: true, historySize: 0 });
    this.#lines = this.#reader[Symbol.asyncIterator]();
    this.#reader.on('line', () => (this.#isHidden = true));
    this.#reader.once('close', () => (this.#hasEnded = true));
    this.#interrupted = new Promise((resolve) => {
      this.#reader.once('SIGINT', () => {
        this.#interruption.abort();
        resolve('interrupted');
      });
    });
  }

  /** Aborted by Ctrl-C, which ends no process while a prompt is open. */
  get interruption(): AbortSignal {
    return this.#interruption.signal;
  }

  /** Line editing works in both cases; what is typed is shown or not. @throws CommandFailure on Ctrl-C or the end of the input */
  async ask(question: string, { hidden }: { readonly hidden: boolean }): Promise<string> {
    this.#isHidden = hidden;
    // Node 24 throws for the prompt of a reader that has ended.
    if (hidden || this.#hasEnded) this.#output.write(question);
    else {
      this.#reader.setPrompt(question);
      this.#reader.prompt();
    }
    const line = await Promise.race([this.#lines.next(), this.#interrupted]);
    const isAnswered = line !== 'interrupted' && line.done !== true;
    // The terminal shows the line end of what is typed visibly.
    if (hidden || !isAnswered) this.#output.write('\n');
    if (line === 'interrupted') throw interrupted();
    if (line.done === true)
      throw wrongUse('the input ended before a line was entered', 'Run the command again.');
    return line.value;
  }

  close(): void {
    this.#isHidden = true;
    this.#reader.close();
  }
}

export function interrupted(): CommandFailure {
  return new CommandFailure(exitCodes.interrupted, 'interrupted', 'Nothing was changed.');
}
