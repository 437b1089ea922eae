import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { Container } from './chart.ts';

export interface ContainerProcess {
  readonly words: readonly string[];
  readonly environment: Record<string, string>;
}

/**
 * The arguments and variables of a container, for a process on this machine: paths are below `folder`, listeners are on
 * ports of the system's choice, and a value from the pod is that of one core. `files` become what volumes would hold.
 *
 * @throws Error when a file is on no volume of the container
 */
export function processOf(
  { args, env, volumeMounts }: Container,
  { folder, files }: { folder: string; files: Readonly<Record<string, string>> },
): ContainerProcess {
  for (const { mountPath } of volumeMounts) mkdirSync(join(folder, mountPath), { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    if (!volumeMounts.some(({ mountPath }) => dirname(path) === mountPath))
      throw new Error(`${path} is on no volume of the container`);
    writeFileSync(join(folder, path), content);
  }
  const here = (value: string) =>
    value
      .replace(/^(unix:)?\//, (start) => `${start.slice(0, -1)}${folder}/`)
      .replace(/^0\.0\.0\.0:\d+$/, '127.0.0.1:0');
  return {
    words: args,
    environment: Object.fromEntries(env.map(({ name, value = '1' }) => [name, here(value)])),
  };
}
