import { type ExitCode, exitCodes } from './exit-codes.ts';

/**
 * Ends a command with an exit code. `message` says what happened and `advice` what to do. Both are printed to standard
 * error without a stack trace, so neither may contain a secret.
 */
export class CommandFailure extends Error {
  readonly exitCode: ExitCode;
  readonly advice: string;

  constructor(exitCode: ExitCode, message: string, advice: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
    this.advice = advice;
  }
}

/** The failure for arguments or options that do not fit together or cannot be parsed. */
export function wrongUse(message: string, advice: string): CommandFailure {
  return new CommandFailure(exitCodes.wrongUse, message, advice);
}
