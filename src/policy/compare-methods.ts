import { INFRASTRUCTURE_METHODS } from './infrastructure-methods.ts';
import type { MethodPolicy } from './method-policy.ts';

/** How a policy and the methods of a program differ. */
export interface PolicyComparison {
  /** Methods that the policy refuses because it does not list them. */
  readonly unlisted: readonly string[];
  /** Methods that only `otherwise` covers. */
  readonly covered: readonly string[];
  /** Rules for methods that do not exist. */
  readonly unknown: readonly string[];
}

/** @param served the methods of the program; health checks and reflection may have rules without being among them */
export function compareMethods(policy: MethodPolicy, served: ReadonlySet<string>): PolicyComparison {
  const without = [...served].filter((method) => !policy.methods.has(method)).sort();
  return {
    unlisted: policy.otherwise === null ? without : [],
    covered: policy.otherwise === null ? [] : without,
    unknown: [...policy.methods.keys()]
      .filter((method) => !served.has(method) && !INFRASTRUCTURE_METHODS.has(method))
      .sort(),
  };
}
