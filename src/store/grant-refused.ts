/** A database role cannot be made the service's role. The message says why, `advice` what to do. */
export class GrantRefused extends Error {
  readonly advice: string;

  constructor(message: string, advice: string) {
    super(message);
    this.name = 'GrantRefused';
    this.advice = advice;
  }
}
