import type { ExitCode } from './exit-codes.ts';

/**
 * Ends a command: `message` says what happened, `advice` what to do now. Both are written for a person and hold no
 * secret; they go to standard error, without a stack trace.
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
