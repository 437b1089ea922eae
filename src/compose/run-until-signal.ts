import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { setLogger } from '@grpc/grpc-js';

import { loadSettings, type Settings, type SettingsPurpose } from '../config/load-settings.ts';
import { formatListenAddress, type ListenAddress } from '../net/listen-address.ts';
import { deduplicatedWarning } from './deduplicated-warning.ts';
import { grpcFault, nodeWarning } from './runtime-versions.ts';
import { flushLines, LineOutput } from '../observability/line-output.ts';
import { type Logger, openLog } from '../observability/log.ts';
import type { ServerTls } from '../net/tls/server-tls.ts';

/** A running service or sidecar. */
export interface Running {
  readonly grpc: ListenAddress;
  readonly http: ListenAddress;
  /** Null or absent where administrators have no listener of their own. */
  readonly admin?: ListenAddress | null;
  /** Null or absent where the console has no listener of its own. */
  readonly console?: ListenAddress | null;
  readonly tls: ServerTls | null;
  stop(): Promise<void>;
}

/**
 * Starts a service or a sidecar. `onFatal` receives an error that has to end it later; `linesLost` returns how many log
 * lines were dropped.
 */
export type Start<Started extends Running> = (
  settings: Settings,
  log: Logger,
  onFatal: (error: unknown) => void,
  linesLost: () => number,
) => Promise<Started>;

const STANDARD_OUTPUT = 1;
/** How long the exit waits for readers of stdout and stderr to take the last lines. */
const FLUSH_LIMIT_MS = 200;

/**
 * Runs a service or a sidecar until SIGTERM or SIGINT. Prints one JSON line on stdout once both ports accept calls;
 * everything else goes to stderr. A reader that does not read never blocks the process. Rejects with the error that
 * prevented the start or ended the process.
 *
 * @param greet returns the text that is printed on stderr before that line
 */
export async function runUntilSignal<Started extends Running>(
  purpose: SettingsPurpose,
  start: Start<Started>,
  greet: (started: Started) => string = () => '',
): Promise<void> {
  try {
    const settings = loadSettings(undefined, { for: purpose });
    requireSafeGrpc();
    const { log, output: logOutput } = openLog(settings.logLevel);
    const standardOutput = new LineOutput(STANDARD_OUTPUT);
    process.once('exit', () => flushLines([logOutput, standardOutput], FLUSH_LIMIT_MS));
    for (const warning of settings.warnings) log.warn({ detail: warning }, 'settings');
    if (purpose === 'serve') log.info({ detail: settings.sizing }, 'sizes');
    warnOfOldNode(log);
    redirectNodeWarnings(log);
    redirectGrpcLogs(log);
    exitOnUncaughtErrors(log);
    await run(
      log,
      (fail) => start(settings, log, fail, () => logOutput.linesLost),
      (started) => {
        logOutput.write(greet(started));
        const [grpc, http] = [formatListenAddress(started.grpc), formatListenAddress(started.http)];
        const more = {
          ...(started.admin && { admin: formatListenAddress(started.admin) }),
          ...(started.console && { console: formatListenAddress(started.console) }),
        };
        standardOutput.write(
          `${JSON.stringify({ event: 'listening', grpc, http, ...more, pid: process.pid })}\n`,
        );
      },
    );
  } finally {
    // The error message of the command line must not wait for a stalled reader either.
    setTimeout(() => process.exit(), FLUSH_LIMIT_MS).unref();
  }
}

/** Starts, waits for a signal or a fatal error, and shuts down gracefully. */
async function run<Started extends Running>(
  log: Logger,
  start: (fail: (error: unknown) => void) => Promise<Started>,
  onStarted: (started: Started) => void,
): Promise<void> {
  const signalled = nextSignal();
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_resolve, reject) => (fail = reject));
  failed.catch(() => undefined);
  const started = await start(fail);
  reloadOnHangup(started.tls);
  onStarted(started);
  try {
    const signal = await Promise.race([signalled, failed]);
    log.info({ signal }, 'stopping');
  } finally {
    await started.stop();
  }
  log.info('stopped');
}

/** Resolves with the first SIGTERM or SIGINT, for a graceful shutdown. A second one kills the process by default. */
function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}

/** A tool that renews certificates may send SIGHUP. In plaintext SIGHUP keeps its default and ends the process. */
function reloadOnHangup(tls: ServerTls | null): void {
  if (tls) process.on('SIGHUP', () => void tls.reload());
}

/** After an unexpected error the state of the process is unknown: it exits, so that its supervisor restarts it. */
function exitOnUncaughtErrors(log: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (cause: unknown) => {
      log.fatal({ cause }, event);
      process.exit(1);
    });
  }
}

/**
 * grpc-js would write lines of its own between those of the log, and block on a stalled reader. Its error about a failed
 * listen is dropped, because the caller gets it. Its error about an invalid header contains the value, perhaps a token,
 * and is replaced (O01).
 */
function redirectGrpcLogs(log: Logger): void {
  const warn = deduplicatedWarning(log, 'grpc');
  setLogger({
    error(detail: string) {
      if (detail.startsWith('Failed to add metadata entry'))
        warn('a call had a header that is not valid gRPC metadata');
      else if (!detail.startsWith('No address added')) warn(detail);
    },
    info: (detail: string) => log.info({ detail }, 'grpc'),
    // Only with GRPC_VERBOSITY=DEBUG.
    debug: (detail: string) => log.info({ detail }, 'grpc'),
  });
}

/** Node would print its warnings itself, and block on a stalled reader. */
function redirectNodeWarnings(log: Logger): void {
  const warn = deduplicatedWarning(log, 'node');
  // With --no-warnings Node has no listener of its own.
  if (process.listenerCount('warning') === 0) return;
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => warn(`${name}: ${message}`));
}

function warnOfOldNode(log: Logger): void {
  const warning = nodeWarning(process.versions.node);
  if (warning !== null) log.warn({ detail: warning }, 'runtime');
}

function requireSafeGrpc(): void {
  const require = createRequire(import.meta.url);
  const manifest = JSON.parse(readFileSync(require.resolve('@grpc/grpc-js/package.json'), 'utf8')) as {
    version: string;
  };
  const fault = grpcFault(manifest.version);
  if (fault !== null) throw new Error(fault);
}
