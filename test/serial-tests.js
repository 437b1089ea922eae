/**
 * Tests that hurt a database, flood a service or measure time: beside others they would disturb and be disturbed, so
 * `npm run test:serial` runs them one at a time and `npm test` leaves them out.
 */
export const serialTests = [
  '<rootDir>/test/faults/',
  '<rootDir>/test/grpc/watch-trust-faults.test.ts',
  '<rootDir>/test/passwords/password-hasher.test.ts',
  '<rootDir>/test/security/http2-attacks.test.ts',
  '<rootDir>/test/security/login-enumeration.test.ts',
];
