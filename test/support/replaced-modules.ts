import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import type { PosternOptions } from './run-postern.ts';

const hook = new URL('./replace-modules.mjs', import.meta.url);
const built = (path: string) => new URL(`../../dist/${path}`, import.meta.url);

/**
 * Runs the build before bundling, with each of the given modules replaced by another file.
 *
 * @param modules from the path of each below `dist/` to its replacement
 * @throws Error when one of them does not exist, so that a moved module is not taken for a replaced one
 */
export function replacing(
  modules: Readonly<Record<string, URL>>,
): Required<Pick<PosternOptions, 'bin' | 'nodeOptions' | 'environment'>> {
  const pairs = Object.entries(modules).map(([path, replacement]) => [built(path), replacement] as const);
  for (const url of pairs.flat()) if (!existsSync(url)) throw new Error(`there is no ${url.href}`);
  return {
    bin: fileURLToPath(built('cli/postern.js')),
    nodeOptions: [`--import=${hook.href}`],
    environment: {
      REPLACED_MODULES: JSON.stringify(Object.fromEntries(pairs.map(([from, to]) => [from.href, to.href]))),
    },
  };
}
