const OLDEST_GRPC = [1, 14, 5];
/** Node 20 got its last fix in April 2026. */
const NODE_AT_END_OF_LIFE = 20;

/** Why this `@grpc/grpc-js` must not serve; null when it may. Before, one message ended the process (CVE-2026-48068, -48069). */
export function grpcFault(version: string): string | null {
  if (isAtLeast(version, OLDEST_GRPC)) return null;
  return `@grpc/grpc-js ${version} has bugs that can crash the process: install ${OLDEST_GRPC.join('.')} or later`;
}

/** Not by a collator, which takes 14 ms to make at each start. */
function isAtLeast(version: string, oldest: readonly number[]): boolean {
  const numbers = version.split('.').map((part) => Number.parseInt(part, 10));
  const differing = oldest.findIndex((part, index) => part !== numbers[index]);
  return differing < 0 || (numbers[differing] ?? -1) > (oldest[differing] ?? 0);
}

/** What to say about this Node; null when there is nothing to say. */
export function nodeWarning(version: string): string | null {
  if (Number.parseInt(version, 10) > NODE_AT_END_OF_LIFE) return null;
  return `Node ${version} is past its end of life: use Node 24 or later`;
}
