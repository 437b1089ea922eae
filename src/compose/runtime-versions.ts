import { readFileSync } from 'node:fs';

/** In earlier versions one message could end the process (CVE-2026-48068, CVE-2026-48069). */
const MIN_GRPC = [1, 14, 5];
/** Node 20 reached its end of life in April 2026. */
const NODE_AT_END_OF_LIFE = 20;

/** Why this version of `@grpc/grpc-js` must not be used; null when it may. */
export function grpcFault(version: string): string | null {
  if (isAtLeast(version, MIN_GRPC)) return null;
  return `@grpc/grpc-js ${version} has bugs that can crash the process: install ${MIN_GRPC.join('.')} or later`;
}

/** Not with Intl.Collator, which takes 14 ms to create at each start. */
function isAtLeast(version: string, min: readonly number[]): boolean {
  const numbers = version.split('.').map((part) => Number.parseInt(part, 10));
  const differing = min.findIndex((part, index) => part !== numbers[index]);
  return differing < 0 || (numbers[differing] ?? -1) > (min[differing] ?? 0);
}

/** The warning about this version of Node; null for a supported one. */
export function nodeWarning(version: string): string | null {
  if (Number.parseInt(version, 10) > NODE_AT_END_OF_LIFE) return null;
  return `Node ${version} is past its end of life: use Node 24 or later`;
}

/** The version of Postern, from its package. */
export function posternVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return (manifest as { version: string }).version;
}
