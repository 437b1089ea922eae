/** What the kinds of tests have in common. */
const everyKind = {
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
/** Sees to it that a busy machine fails no test. */
const patient = { setupFilesAfterEnv: ['<rootDir>/test/support/patient-limits.ts'] };
/** Tests of these need programs that npm does not bring: npm run test:interop. */
const interop = '<rootDir>/test/interop/';

/** `*.test.ts`: needs neither a build nor a database. */
const pure = {
  ...everyKind,
  ...patient,
  displayName: 'pure',
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', interop, '\\.(db|serial)\\.test\\.ts$'],
};

/** `*.db.test.ts`: runs what was built, on a database of its own in a PostgreSQL that this run starts. */
export const db = {
  ...everyKind,
  ...patient,
  displayName: 'db',
  testMatch: ['**/*.db.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', interop],
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
};

/** `*.serial.test.ts`: hurts a database, kills or floods a service, or measures time; one file at a time. */
export const serial = {
  ...db,
  displayName: 'serial',
  testMatch: ['**/*.serial.test.ts'],
  setupFilesAfterEnv: [],
};

/** @type {import('jest').Config} */
export default { projects: [pure, db], maxWorkers: 2, testTimeout: 180_000 };
