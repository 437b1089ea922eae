/** The embedded database cannot be used. The message says what happened, then what to do. */
export class EmbeddedPostgresError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'EmbeddedPostgresError';
  }
}

/** POSTERN_DATA_DIR cannot be used. Retrying does not help: it needs another value or other permissions. */
export class DataDirectoryError extends EmbeddedPostgresError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DataDirectoryError';
  }
}

/** The data directory contains no database, and the command may not create one. */
export class NoDataYet extends EmbeddedPostgresError {
  constructor(dataDir: string) {
    super(`there is no data in ${dataDir} yet`);
    this.name = 'NoDataYet';
  }
}
