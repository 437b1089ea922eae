/**
 * Tests that hurt a database, kill or flood a service, throw thousands of tokens at it or measure time. Beside others they
 * would disturb and be disturbed, so `npm run test:serial` runs them one at a time and `npm test` leaves them out.
 */
export const serialTests = [
  '<rootDir>/test/client/hostile-tokens.test.ts',
  '<rootDir>/test/cli/data-directory.test.ts',
  '<rootDir>/test/faults/',
  '<rootDir>/test/grpc/expired-deadlines.test.ts',
  '<rootDir>/test/grpc/ext-authz-hostile-tokens.test.ts',
  '<rootDir>/test/grpc/watch-trust-faults.test.ts',
  '<rootDir>/test/http/slow-connections.test.ts',
  '<rootDir>/test/operations/killed-rewrap.test.ts',
  '<rootDir>/test/operations/login-throttle.test.ts',
  '<rootDir>/test/operations/refresh-token.test.ts',
  '<rootDir>/test/passwords/password-hasher.test.ts',
  '<rootDir>/test/security/abandoned-guesses.test.ts',
  '<rootDir>/test/security/hostile-tokens-over-grpc.test.ts',
  '<rootDir>/test/security/http2-attacks.test.ts',
  '<rootDir>/test/security/inspected-hostile-tokens.test.ts',
  '<rootDir>/test/security/junk.test.ts',
  '<rootDir>/test/security/linear-time.test.ts',
  '<rootDir>/test/security/login-enumeration.test.ts',
  '<rootDir>/test/store/embedded-postgres.test.ts',
  '<rootDir>/test/store/embedded-takeover.test.ts',
];
