import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { setLogger } from '@grpc/grpc-js';

import { loadSettings, type Settings, type SettingsPurpose } from './config.ts';
import { formatListenAddress, type ListenAddress } from './domain/listen-address.ts';
import { grpcFault, nodeWarning } from './domain/runtime-versions.ts';
import { createLog, type Logger } from './log.ts';
import type { ServerTls } from './tls/server-tls.ts';

/** What runs until it is told to stop. */
export interface Running {
  readonly grpc: ListenAddress;
  readonly http: ListenAddress;
  readonly tls: ServerTls | null;
  stop(): Promise<void>;
}

/** Starts what runs; `onFatal` gets what makes it end later. */
export type Start<Started extends Running> = (
  settings: Settings,
  log: Logger,
  onFatal: (error: unknown) => void,
) => Promise<Started>;

/**
 * Runs a service or a sidecar until SIGTERM or SIGINT. Prints one JSON line on stdout once both ports accept calls;
 * everything else goes to stderr. Rejects with what kept it from starting or made it end.
 *
 * @param greet called just before the line
 */
export async function runUntilSignal<Started extends Running>(
  purpose: SettingsPurpose,
  start: Start<Started>,
  greet: (started: Started) => void = () => undefined,
): Promise<void> {
  const settings = loadSettings(undefined, { for: purpose });
  requireSafeGrpc();
  const log = createLog(settings.logLevel);
  for (const warning of settings.warnings) log.warn({ detail: warning }, 'settings');
  warnOfOldNode(log);
  takeLinesOfGrpc(log);
  exitOnUnknownFaults(log);

  const signalled = nextSignal();
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_resolve, reject) => (fail = reject));
  failed.catch(() => undefined);
  const started = await start(settings, log, fail);
  const grpc = formatListenAddress(started.grpc);
  const http = formatListenAddress(started.http);
  greet(started);
  reloadOnHangup(started.tls);
  process.stdout.write(`${JSON.stringify({ event: 'listening', grpc, http, pid: process.pid })}\n`);

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
function exitOnUnknownFaults(log: Logger): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (cause: unknown) => {
      log.fatal({ cause }, event);
      process.exit(1);
    });
  }
}

/** grpc-js would write lines of its own among the log's. That it could not listen, its caller is told. */
function takeLinesOfGrpc(log: Logger): void {
  setLogger({
    error(detail: string) {
      if (!detail.startsWith('No address added')) log.warn({ detail }, 'grpc');
    },
    info: (detail: string) => log.info({ detail }, 'grpc'),
    // Asked for by GRPC_VERBOSITY.
    debug: (detail: string) => log.info({ detail }, 'grpc'),
  });
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
