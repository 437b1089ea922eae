import type { SeededRandom } from './random.mjs';
import type { Tree, TreeNode } from './tree.mjs';

export const PAUSE_MS_PER_SUBSCRIBER: number;
export const HEARTBEAT_EVERY_MS: number;
export const SILENCE_LIMIT_MS: number;
export const NOTIFY_EVERY_MS: number;
export const CHUNK_BYTES: number;
export interface Times {
  readonly count: number;
  readonly max: number;
  quantile(share: number): number;
}
export function retryDelayMs(attempt: number, random: () => number): number;
export function simulate(
  tree: Tree,
  options: {
    readonly constants: Readonly<Record<string, number>>;
    readonly random: SeededRandom;
    readonly commitsMs: readonly number[];
    readonly untilMs: number;
    readonly failures?: readonly {
      readonly node: TreeNode | undefined;
      readonly atMs: number;
      readonly forMs: number;
      readonly silent: boolean;
    }[];
    readonly reconnectTo?: 'siblings' | 'same';
    readonly sizes?: readonly number[];
    readonly feed?: boolean;
    readonly limitsMs?: readonly number[];
    readonly isOneMachine?: boolean;
    readonly sampleEvery?: number;
  },
): {
  readonly delays: Times;
  readonly reconnects: Times;
  readonly inTime: readonly number[];
  readonly maxAgeMs: number;
  readonly missing: number;
};
