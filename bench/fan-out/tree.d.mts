import type { SeededRandom } from './random.mjs';

export type Link = 'zone' | 'region' | 'continent';
export interface TreeNode {
  readonly level: number;
  readonly relays: readonly TreeNode[];
  readonly verifiers: readonly number[];
  readonly sentBytes: number;
}
export interface Tree {
  readonly nodes: readonly TreeNode[];
  readonly last: readonly TreeNode[];
  readonly verifiers: number;
}
export function makeTree(widths: readonly number[], random: SeededRandom, links?: readonly Link[]): Tree;
