import { spawn } from 'node:child_process';

import { toolPath } from './tool.ts';

export interface ToolEnd {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program installed by `install.sh` until it ends. */
export function runTool(name: string, words: readonly string[], stdin = ''): Promise<ToolEnd> {
  return new Promise((resolve, reject) => {
    const child = spawn(toolPath(name), words);
    const output = { stdout: '', stderr: '' };
    child.stdin.on('error', () => undefined);
    child.stdin.end(stdin);
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
    child.once('error', reject);
    child.once('close', (exitCode) => resolve({ exitCode, ...output }));
  });
}
