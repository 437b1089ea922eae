/** How the test files reach the PostgreSQL that global setup started. */
export interface TestServer {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** A migrated database that nobody is connected to. */
  readonly template: string;
}

export const testDatabaseVariable = 'TEST_POSTGRES';

/** What global teardown ends; both run in one process. */
export const runningServer: { stop?: () => Promise<void>; dataDir?: string } = {};
