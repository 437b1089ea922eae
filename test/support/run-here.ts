import { Readable } from 'node:stream';

import { jest } from '@jest/globals';

import { runCommandLine } from '../../src/cli/run-command-line.ts';
import type { CommandEnd, PosternOptions } from './run-postern.ts';

interface Options extends Pick<PosternOptions, 'environment' | 'stdin'> {
  /** What is typed at a terminal, in place of `stdin`. It can wait for what the command has shown. */
  readonly typed?: (shown: () => string) => AsyncIterable<string>;
}

let last: Promise<unknown> = Promise.resolve();

/**
 * Runs a command in this process, which takes a fraction of the time of a process of its own. For tests of what a command
 * does. Input, output and environment belong to one command at a time, so each waits for the one before.
 */
export function runHere(words: readonly string[], options: Options = {}): Promise<CommandEnd> {
  const end = last.then(() => run(words, options));
  last = end.catch(() => undefined);
  return end;
}

async function run(
  words: readonly string[],
  { environment, stdin = '', typed }: Options,
): Promise<CommandEnd> {
  const output = { stdout: '', stderr: '' };
  const restore = (['stdout', 'stderr'] as const).map((name) => {
    const listeners = process[name].listeners('error');
    const write = jest.spyOn(process[name], 'write').mockImplementation((text) => {
      output[name] += String(text);
      return true;
    });
    return () => {
      write.mockRestore();
      for (const listener of process[name].listeners('error'))
        if (!listeners.includes(listener)) process[name].off('error', listener as () => void);
    };
  });
  const { env, exitCode: exitCodeBefore } = process;
  const inherited = Object.entries(env).filter(([name]) => !/^(POSTERN_|DATABASE_URL|PG)/.test(name));
  process.env = { ...Object.fromEntries(inherited), ...environment };
  const stdinBefore = Object.getOwnPropertyDescriptor(process, 'stdin') ?? { value: undefined };
  const input =
    typed === undefined
      ? Readable.from(stdin === '' ? [] : [Buffer.from(stdin)])
      : Object.assign(Readable.from(typed(() => output.stderr)), { isTTY: true });
  Object.defineProperty(process, 'stdin', { configurable: true, enumerable: true, get: () => input });
  try {
    const exitCode = await runCommandLine(words);
    return { exitCode, ...output };
  } finally {
    process.env = env;
    process.exitCode = exitCodeBefore;
    Object.defineProperty(process, 'stdin', stdinBefore);
    for (const each of restore) each();
  }
}
