import type { ExitCode } from '../exit-codes.ts';
import { explainFailure } from '../explain-failure.ts';

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

export function faultOf(about: Finding['about'], error: unknown): Finding {
  const { lines, exitCode } = explainFailure(error);
  const [says = '', ...advice] = lines;
  return {
    about,
    verdict: 'fault',
    says: says.replace(/^postern: /, ''),
    advice: advice.join(' '),
    exitCode,
  };
}
