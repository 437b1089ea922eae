import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parse } from 'yaml';

import { until } from './until.ts';

const configFolder = new URL('../../deploy/envoy/', import.meta.url);

export interface RunningEnvoy {
  readonly url: string;
  /** The access log and the log of Envoy. */
  readonly output: () => string;
  stop(): Promise<void>;
}

/**
 * Starts Envoy with an example of `deploy/envoy`, moved to the test's ports.
 *
 * @param example the name of its file
 * @param ports the replacement for each port number of the example
 * @param change a final edit of the configuration as JSON text
 */
export async function startEnvoy(
  binary: string,
  example: 'envoy.yaml' | 'json.yaml',
  folder: string,
  ports: Readonly<Record<number, number>>,
  change: (json: string) => string = (json) => json,
): Promise<RunningEnvoy> {
  const configFile = fileURLToPath(new URL(example, configFolder));
  const config = parse(readFileSync(configFile, 'utf8')) as Record<string, unknown>;
  // Port 0 for listeners: the admin interface reports the assigned ports.
  config['admin'] = { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } };
  let json = JSON.stringify(config);
  for (const [from, to] of Object.entries({ [example === 'envoy.yaml' ? 10000 : 10001]: 0, ...ports })) {
    const parts = [`"port_value":${from}`, `127.0.0.1:${from}/.well-known`];
    if (!parts.some((part) => json.includes(part))) throw new Error(`the example has no port ${from}`);
    for (const part of parts) json = json.replaceAll(part, part.replace(from, String(to)));
  }
  const [file, adminFile] = [join(folder, 'envoy.json'), join(folder, 'admin')];
  writeFileSync(file, change(json));

  const words = [
    '-c',
    file,
    '--admin-address-path',
    adminFile,
    '--disable-hot-restart',
    '--concurrency',
    '1',
  ];
  const child = spawn(binary, [...words, '--log-level', 'warning', '--file-flush-interval-msec', '50']);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    const port = await until(async () => {
      if (child.exitCode !== null) throw new Error(`Envoy ended:\n${output}`);
      return portIn(await read(`http://${readFileSync(adminFile, 'utf8')}/listeners`));
    });
    return { url: `http://127.0.0.1:${port}`, output: () => output, stop };
  } catch (error) {
    await stop();
    throw new Error(`Envoy does not listen:\n${output}`, { cause: error });
  }
}

const read = async (url: string) => (await fetch(url)).text();

/** The port in a line such as `ingress::127.0.0.1:45678`; undefined while there is none. */
const portIn = (listeners: string) => /^ingress::127\.0\.0\.1:([1-9]\d*)$/m.exec(listeners)?.[1];
