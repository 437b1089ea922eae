/** Settings of every kind of test. */
const common = {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } },
    ],
  },
};
/** In `npm test` a busy machine fails no test. */
const patient = { setupFilesAfterEnv: ['<rootDir>/test/support/patient-limits.ts'] };
/** These tests need programs that npm does not install: npm run test:interop. */
const interop = '<rootDir>/test/interop/';

/** `*.test.ts`: tests that need neither a build nor a database. */
const pure = {
  ...common,
  ...patient,
  displayName: 'pure',
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', interop, '\\.(db|serial)\\.test\\.ts$'],
};

/** `*.db.test.ts`: tests that run the built program, each on its own database in a PostgreSQL that the run starts. */
export const db = {
  ...common,
  ...patient,
  displayName: 'db',
  testMatch: ['**/*.db.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', interop],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
};

/** `*.serial.test.ts`: tests that damage a database, kill or flood a service, or measure time; one file at a time. */
export const serial = {
  ...db,
  displayName: 'serial',
  testMatch: ['**/*.serial.test.ts'],
  setupFilesAfterEnv: [],
};

/**
 * Three workers on two cores, since tests of time limits mostly wait.
 *
 * @type {import('jest').Config}
 */
export default { projects: [pure, db], maxWorkers: 3, testTimeout: 180_000 };
