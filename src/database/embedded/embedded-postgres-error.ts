/** The embedded database cannot be used. The message says what happened, then what to do. */
export class EmbeddedPostgresError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EmbeddedPostgresError';
  }
}

/** What POSTERN_DATA_DIR names cannot be used: another value or other permissions are needed, and no waiting helps. */
export class DataDirectoryError extends EmbeddedPostgresError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DataDirectoryError';
  }
}

/** Nothing was ever stored where somebody looks for it. */
export class NoDataYet extends EmbeddedPostgresError {
  constructor(dataDir: string) {
    super(`there is no data in ${dataDir} yet`);
    this.name = 'NoDataYet';
  }
}
