import { db } from '../../jest.config.js';

/** @type {import('jest').Config} */
export default {
  ...db,
  displayName: 'interop',
  rootDir: '../..',
  roots: ['<rootDir>/test/interop'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/'],
  maxWorkers: 2,
  testTimeout: 30_000,
};
