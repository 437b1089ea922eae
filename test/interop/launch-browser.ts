import { type Browser, chromium } from 'playwright-core';

import { toolPath } from './tool.ts';

/** Starts headless Chromium, for which names below `.example` are this machine. As root it has no sandbox. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: toolPath('chromium'),
    chromiumSandbox: process.getuid?.() !== 0,
    args: ['--host-resolver-rules=MAP *.example 127.0.0.1'],
  });
}
