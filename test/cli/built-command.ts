import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface CommandEnd {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandInput {
  readonly stdin?: string | Buffer;
  readonly environment?: Readonly<Record<string, string>>;
  /** Options of node itself. */
  readonly nodeOptions?: readonly string[];
}

const bin = fileURLToPath(new URL('../../dist/cli/postern.js', import.meta.url));

/** Runs the built command under plain node, as its users do, with nothing in its environment but what is given. */
export function runPostern(words: readonly string[], input: CommandInput = {}): Promise<CommandEnd> {
  const child = spawn(process.execPath, [...(input.nodeOptions ?? []), bin, ...words], {
    env: { PATH: process.env.PATH, ...input.environment },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  // A command that ends before it has read its input closes the pipe: that is no fault of the test.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input.stdin ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}
