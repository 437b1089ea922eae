import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** A copy of the build, as it is before it is bundled, with one thing taken out, to prove that a test sees it missing. */
export function alterBuild(alteration: { file: string; take: string; put: string }): {
  bin: string;
  remove: () => void;
} {
  const place = mkdtempSync(join(tmpdir(), 'postern-altered-'));
  cpSync(join(root, 'dist'), join(place, 'dist'), { recursive: true });
  cpSync(join(root, 'package.json'), join(place, 'package.json'));
  symlinkSync(join(root, 'node_modules'), join(place, 'node_modules'));
  const file = join(place, 'dist', alteration.file);
  const code = readFileSync(file, 'utf8');
  if (!code.includes(alteration.take)) throw new Error(`${alteration.file} has no ${alteration.take}`);
  writeFileSync(file, code.replace(alteration.take, alteration.put));
  return {
    bin: join(place, 'dist/cli/postern.js'),
    remove: () => rmSync(place, { recursive: true, force: true }),
  };
}
