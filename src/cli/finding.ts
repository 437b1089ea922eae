import type { ExitCode } from './exit-codes.ts';

/** What one look found. */
export interface Finding {
  readonly about:
    'settings' | 'runtime' | 'certificates' | 'tracing' | 'database' | 'clock' | 'schema' | 'keys' | 'ports';
  readonly verdict: 'ok' | 'warning' | 'fault';
  readonly says: string;
  /** What to do about it. */
  readonly advice?: string;
  /** With which a command or `serve` ends that meets this fault; "settings" where nothing else is said. */
  readonly exitCode?: ExitCode;
}
