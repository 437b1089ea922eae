import { serial } from '../jest.config.js';

/** @type {import('jest').Config} */
export default { ...serial, rootDir: '..', maxWorkers: 1, testTimeout: 20_000 };
