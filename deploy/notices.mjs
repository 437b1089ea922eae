import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The licence notices of the libraries in a bundle: whoever passes on the bundle has to pass them on as well.
 *
 * @param {string} root the folder that holds `node_modules`
 * @param {import('esbuild').Metafile} metafile of the build, with paths relative to `root`
 * @returns {string}
 */
export function bundledNotices(root, metafile) {
  const libraries = new Set(
    Object.keys(metafile.inputs).flatMap(
      (path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [],
    ),
  );
  const notices = [...libraries].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    const texts = readdirSync(join(root, folder))
      .filter((file) => /^(licen[cs]e|copying|notice)/i.test(file))
      .map((file) => readFileSync(join(root, folder, file), 'utf8').trim());
    return [`${name} ${version}: ${license}`, ...texts].join('\n\n');
  });
  return `${notices.join(`\n\n${'-'.repeat(80)}\n\n`)}\n`;
}
