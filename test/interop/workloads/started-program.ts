import { spawn } from 'node:child_process';

import { until } from '../until.ts';

export interface StartedProgram {
  readonly output: () => string;
  stop(): Promise<void>;
}

/** Starts a program and waits until it is ready. Fails with its output when it ends before. */
export async function startProgram(
  path: string,
  words: readonly string[],
  isReady: () => Promise<boolean | string>,
  { limitMs = 30_000 } = {},
): Promise<StartedProgram> {
  const child = spawn(path, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    const hasEnded = () => child.exitCode !== null || child.signalCode !== null;
    await until(async () => hasEnded() || (await isReady()), limitMs);
    if (hasEnded()) throw new Error('it has ended');
  } catch (error) {
    await stop();
    throw new Error(`${path} did not start:\n${output.slice(-4_000)}`, { cause: error });
  }
  return { output: () => output, stop };
}
