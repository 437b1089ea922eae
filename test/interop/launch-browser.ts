import { type Browser, chromium } from 'playwright-core';

import { toolPath } from './tool.ts';

/** Starts headless Chromium. As root it has no sandbox. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: toolPath('chromium'),
    chromiumSandbox: process.getuid?.() !== 0,
  });
}
