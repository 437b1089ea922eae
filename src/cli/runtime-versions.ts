import { createRequire } from 'node:module';

export interface RuntimeVersions {
  /** As `process.versions.node` has it. */
  readonly node: string;
  readonly grpc: string;
}

/** Before it, `@grpc/grpc-js` could be made to crash by a caller (CVE-2026-48068, CVE-2026-48069). */
const oldestGrpc = '1.14.5';
const oldestNode = '20.19.0';

/** Until when each line of Node gets security fixes (the Node.js release schedule). Lines not listed are too new to end. */
const nodeEndsOn: Readonly<Record<string, string>> = {
  20: '2026-04-30',
  21: '2024-06-01',
  22: '2027-04-30',
  23: '2025-06-01',
  24: '2028-04-30',
  25: '2026-06-01',
};

export function installedVersions(): RuntimeVersions {
  const manifest: unknown = createRequire(import.meta.url)('@grpc/grpc-js/package.json');
  return { node: process.versions.node, grpc: (manifest as { version: string }).version };
}

/**
 * What speaks against serving on these versions (X03). `faults` forbid it: an installation can be older than its lock
 * file. `warnings` are for whoever starts the service.
 */
export function judgeVersions(
  { node, grpc }: RuntimeVersions,
  nowMs: number,
): { readonly faults: readonly string[]; readonly warnings: readonly string[] } {
  const faults: string[] = [];
  if (isOlder(grpc, oldestGrpc)) {
    faults.push(`@grpc/grpc-js ${grpc} can be crashed by callers; install ${oldestGrpc} or later (npm ci)`);
  }
  if (isOlder(node, oldestNode)) faults.push(`Node ${node} is too old; install Node ${oldestNode} or later`);
  const line = node.split('.')[0] ?? '';
  const end = nodeEndsOn[line];
  const isPast = end !== undefined && nowMs >= Date.parse(end);
  const warnings = isPast ? [`Node ${line} gets no security fixes since ${end}; move to a later line`] : [];
  return { faults, warnings };
}

/** Compares the numbers only: a pre-release counts as its release. */
function isOlder(version: string, than: string): boolean {
  const numbers = (text: string) => (/^\d+(\.\d+)*/.exec(text)?.[0] ?? '0').split('.').map(Number);
  const [ours, theirs] = [numbers(version), numbers(than)];
  const differing = theirs.findIndex((number, index) => number !== (ours[index] ?? 0));
  return differing !== -1 && (ours[differing] ?? 0) < (theirs[differing] ?? 0);
}
