import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';

/** One source file; the path is below the folder that was read, with forward slashes. */
export interface SourceFile {
  readonly path: string;
  readonly source: string;
}

/** The word alone or at the end; `shared-secret-key` is a proper name. */
export const forbiddenNames = /(^|-)(utils?|helpers?|common|shared|misc|manager|impl)(\.ts)?$/;
export const MAX_LINES = 350;

/** Every module that a file imports: static, dynamic and type imports, and re-exports. */
export function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const statements = /(?:^|[\s;}])(?:from|import)\s*\(?\s*['"]([^'"\s,]+)['"]/g;
  return [...code.matchAll(statements)].map(([, name = '']) => name);
}

/** Each cycle once, starting where the walk entered it. */
export function cycles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const walk = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push(`cycle: ${[...trail.slice(start), path].join(' > ')}`);
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) walk(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) walk(path, []);
  return found;
}

/** Every TypeScript file of a folder of the repository. */
export function readSources(folder: string): SourceFile[] {
  const root = fileURLToPath(new URL(`../../${folder}`, import.meta.url));
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => {
      const path = posix.join(entry.parentPath.slice(root.length + 1), entry.name);
      return { path, source: readFileSync(`${root}/${path}`, 'utf8') };
    });
}
