import everyday from '../jest.config.js';
import { serialTests } from './serial-tests.js';

/** @type {import('jest').Config} */
export default {
  ...everyday,
  rootDir: '..',
  testMatch: serialTests.map((path) => (path.endsWith('/') ? `${path}**/*.test.ts` : path)),
  testPathIgnorePatterns: ['/node_modules/'],
  maxWorkers: 1,
};
