/** The address of the PostgreSQL that global setup started. */
export interface TestServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** A migrated database without connections. */
  readonly template: string;
}

export const testDatabaseVariable = 'TEST_POSTGRES';

/** The server that global teardown stops; setup and teardown run in one process. */
export const runningServer: { stop?: () => Promise<void>; dataDir?: string } = {};
