import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { setLogger } from '@grpc/grpc-js';

import { loadSettings, type Settings, type SettingsPurpose } from '../config/load-settings.ts';
import { formatListenAddress, type ListenAddress } from '../net/listen-address.ts';
import { deduplicateLines } from '../observability/deduplicate-lines.ts';
import { grpcFault, nodeWarning } from './runtime-versions.ts';
import { flushLines, LineOutput } from '../observability/line-output.ts';
import { type Logger, openLog } from '../observability/log.ts';
import type { ServerTls } from '../net/tls/server-tls.ts';

/** What runs until it is told to stop. */
export interface Running {
  readonly grpc: ListenAddress;
  readonly http: ListenAddress;
  readonly tls: ServerTls | null;
  stop(): Promise<void>;
}

/** Starts what runs; `onFatal` gets what makes it end later, `linesLost` tells of the log. */
export type Start<Started extends Running> = (
  settings: Settings,
  log: Logger,
  onFatal: (error: unknown) => void,
  linesLost: () => number,
) => Promise<Started>;

const STANDARD_OUTPUT = 1;
/** How long the end of the process waits for its last lines to be taken. */
const FLUSH_LIMIT_MS = 200;

/**
 * Runs a service or a sidecar until SIGTERM or SIGINT. Prints one JSON line on stdout once both ports accept calls;
 * everything else goes to stderr. Whether anybody takes what is printed decides nothing. Rejects with what kept it from
 * starting or made it end.
 *
 * @param greet gives the text for a person that goes before the line
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
        standardOutput.write(`${JSON.stringify({ event: 'listening', grpc, http, pid: process.pid })}\n`);
      },
    );
  } finally {
    // What the command line says of the end may find a reader that stands still, and is not waited for either.
    setTimeout(() => process.exit(), FLUSH_LIMIT_MS).unref();
  }
}

/** From the start to the orderly end. */
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

/** The first SIGTERM or SIGINT asks for an orderly end; a second one ends the process as it would any other. */
function nextSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}

/** What renews certificates may say so. In plaintext SIGHUP ends the process, as when its terminal is closed. */
function reloadOnHangup(tls: ServerTls | null): void {
  if (tls) process.on('SIGHUP', () => void tls.reload());
}

/** Half-broken is worse than down: what nobody expected ends the process, and whoever runs it starts it again. */
function exitOnUncaughtErrors(log: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (cause: unknown) => {
      log.fatal({ cause }, event);
      process.exit(1);
    });
  }
}

/**
 * grpc-js would write lines of its own among the log's, and wait for whoever reads them. That it could not listen, its
 * caller is told. Of a header that it cannot keep it repeats all that was sent, a token perhaps (O01).
 */
function redirectGrpcLogs(log: Logger): void {
  const warn = deduplicateLines(
    (detail, again) => log.warn({ detail, ...(again > 0 && { again }) }, 'grpc'),
    () => performance.now(),
  );
  setLogger({
    error(detail: string) {
      if (detail.startsWith('Failed to add metadata entry'))
        warn('a call had a header that is not valid gRPC metadata');
      else if (!detail.startsWith('No address added')) warn(detail);
    },
    info: (detail: string) => log.info({ detail }, 'grpc'),
    // Asked for by GRPC_VERBOSITY.
    debug: (detail: string) => log.info({ detail }, 'grpc'),
  });
}

/** Node would print its warnings itself, and wait for whoever reads them. */
function redirectNodeWarnings(log: Logger): void {
  const warn = deduplicateLines(
    (detail, again) => log.warn({ detail, ...(again > 0 && { again }) }, 'node'),
    () => performance.now(),
  );
  // Unless Node was told not to (--no-warnings).
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
