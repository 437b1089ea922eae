import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { toolPath } from './tool.ts';
import { until } from './until.ts';

/** Starts nginx with a server block. @param folder holds its files @param port where the block listens */
export async function startNginx(
  server: string,
  { folder, port }: { readonly folder: string; readonly port: number },
): Promise<{ stop(): Promise<void> }> {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const file = join(folder, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr warn;
events {}
http {
access_log off;
${kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n')}
${server}
}
`,
  );
  const child = spawn(toolPath('nginx'), ['-p', folder, '-c', file, '-e', 'stderr']);
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    await until(() => {
      if (child.exitCode !== null) throw new Error('nginx ended');
      return accepts(port);
    });
    return { stop };
  } catch (error) {
    await stop();
    throw new Error(`nginx does not listen:\n${output}`, { cause: error });
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
