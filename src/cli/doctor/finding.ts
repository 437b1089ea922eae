import type { SettingsError } from '../../config/load-settings.ts';
import type { ExitCode } from '../exit-codes.ts';
import { explainFailure } from '../explain-failure.ts';

/** The result of one check of `postern doctor`. */
export interface Finding {
  readonly check:
    | 'settings'
    | 'runtime'
    | 'certificates'
    | 'tracing'
    | 'upstream'
    | 'database'
    | 'clock'
    | 'schema'
    | 'keys'
    | 'ports';
  readonly verdict: 'ok' | 'warning' | 'fault';
  readonly message: string;
  /** What to do about it. */
  readonly advice?: string;
  /** The exit code with which `serve` would end on this fault; `settings` by default. */
  readonly exitCode?: ExitCode;
}

/** A finding as `doctor --json` prints it. The names of its members are frozen. */
export function findingDocument({ check, verdict, message, advice }: Finding): object {
  return { about: check, verdict, says: message, advice };
}

/** A finding for each fault of the settings. */
export function settingsFaults({ faults }: SettingsError): Finding[] {
  return faults.map((message) => ({ check: 'settings', verdict: 'fault', message }));
}

/** The finding for an error that `serve` would end with. */
export function faultOf(check: Finding['check'], error: unknown): Finding {
  const { lines, exitCode } = explainFailure(error);
  const [message = '', ...advice] = lines;
  return {
    check,
    verdict: 'fault',
    message: message.replace(/^postern: /, ''),
    advice: advice.join(' '),
    exitCode,
  };
}
