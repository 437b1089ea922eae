// Removes compiled modules whose source is gone; `npm run build` runs it. tsc never removes one, so a moved module would stay
// in `dist` and in the package. The others stay: the build is incremental.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
/** What the bundles write, and clear themselves. */
const bundles = [join(dist, 'command'), join(dist, 'console')];
const outputEnding = /(?:\.js|\.d\.ts)(?:\.map)?$/;

/** Returns whether the folder is empty afterwards. */
function removeStale(folder) {
  let isEmpty = true;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() ? !bundles.includes(path) && removeStale(path) : isStale(path))
      rmSync(path, { recursive: true });
    else isEmpty = false;
  }
  return isEmpty;
}

function isStale(path) {
  const source = join(root, 'src', relative(dist, path).replace(outputEnding, '.ts'));
  return outputEnding.test(path) && !existsSync(source);
}

removeStale(dist);
