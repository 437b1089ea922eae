/** The settings require an optional package, or files of the build, that are not installed. A retry does not help. */
export class NotInstalled extends Error {
  /** What to do. */
  readonly advice: string;

  constructor(message: string, advice: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'NotInstalled';
    this.advice = advice;
  }
}
