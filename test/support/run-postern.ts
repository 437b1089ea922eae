import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export interface Listening {
  readonly event: string;
  readonly grpc: string;
  readonly http: string;
  readonly admin?: string;
  readonly console?: string;
  readonly pid: number;
}

export interface CommandEnd {
  /** null when a signal ended it. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningPostern {
  /** Its one line on stdout; rejects with its output when it ends without one. */
  readonly listening: Promise<Listening>;
  readonly end: Promise<CommandEnd>;
  readonly output: { readonly stdout: string; readonly stderr: string };
  kill(signal: NodeJS.Signals): void;
}

export interface PosternOptions {
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly stdin?: string | Buffer;
  /** Options of node itself. */
  readonly nodeOptions?: readonly string[];
  /** Targets of standard output and error instead of the test; with `stdout` the listening line is never seen. */
  readonly stdout?: number;
  readonly stderr?: number;
  /** Another build of the command, such as an unpacked package. */
  readonly bin?: string;
}

const builtBin = fileURLToPath(new URL('../../dist/command/postern.js', import.meta.url));
const running = new Set<{ child: ChildProcess; end: Promise<CommandEnd> }>();

/** Starts the built command under plain node, without the settings of the surrounding environment. */
export function startPostern(words: readonly string[], options: PosternOptions = {}): RunningPostern {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(POSTERN_|DATABASE_URL|PG|NODE_|FORCE_COLOR)/.test(name),
  );
  const child = spawn(process.execPath, [...(options.nodeOptions ?? []), options.bin ?? builtBin, ...words], {
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    env: { ...Object.fromEntries(inherited), ...options.environment },
    stdio: ['pipe', options.stdout ?? 'pipe', options.stderr ?? 'pipe'],
  }) as ChildProcessByStdio<Writable, Readable | null, Readable | null>;
  const output = { stdout: '', stderr: '' };
  // A command that ends before it has read its input closes the pipe; that is not a failure of the test.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin ?? '');
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const end = new Promise<CommandEnd>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, ...output }));
  });
  const listening = new Promise<Listening>((resolve, reject) => {
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text;
      const newline = output.stdout.indexOf('\n');
      if (newline < 0 || !output.stdout.startsWith('{"event":"listening"')) return;
      resolve(JSON.parse(output.stdout.slice(0, newline)) as Listening);
    });
    end.then(({ stderr }) => reject(new Error(`postern ended before it listened:\n${stderr}`)), reject);
  });
  listening.catch(() => undefined);
  const entry = { child, end };
  running.add(entry);
  void end.finally(() => running.delete(entry)).catch(() => undefined);
  return { listening, end, output, kill: (signal) => void child.kill(signal) };
}

/** Runs a command until it ends. */
export function runPostern(words: readonly string[], options: PosternOptions = {}): Promise<CommandEnd> {
  return startPostern(words, options).end;
}

/** For afterAll: kills what a failed test left running, and waits until it has ended. */
export async function endEveryPostern(): Promise<void> {
  const left = [...running];
  for (const { child } of left) child.kill('SIGTERM');
  const insist = setTimeout(() => left.forEach(({ child }) => child.kill('SIGKILL')), 8_000);
  await Promise.allSettled(left.map(({ end }) => end));
  clearTimeout(insist);
}
