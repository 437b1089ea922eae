/** The settings ask for what an optional package does, and this installation is without it: no waiting helps. */
export class NotInstalled extends Error {
  /** What to do. */
  readonly advice: string;

  constructor(message: string, advice: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NotInstalled';
    this.advice = advice;
  }
}
