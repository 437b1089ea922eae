import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/**
 * Starts a program that reads one credential a line and answers each with a line, in turn.
 *
 * @param option `NAME=COMMAND`
 */
export function startProgram(option, environment) {
  const [name, command] = [option.slice(0, option.indexOf('=')), option.slice(option.indexOf('=') + 1)];
  const child = spawn('sh', ['-c', `exec ${command}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...environment },
  });
  const waiting = [];
  createInterface(child.stdout).on('line', (line) => waiting.shift()?.(line));
  return {
    name,
    ask: (text) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        child.stdin.write(`${text}\n`);
      }),
    async stop() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}
