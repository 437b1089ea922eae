import { type MethodPolicy } from '../../../policy/method-policy.ts';
import { InvalidPolicy } from '../../../policy/policy-document.ts';
import { MAX_POLICY_BYTES, policyFormatOf, readPolicy } from '../../../policy/read-policy.ts';
import { CommandFailure } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { readTextFile } from '../../read-text.ts';

/** Reads the policy file of a command. @throws CommandFailure that lists its faults */
export async function openPolicy(path: string): Promise<MethodPolicy> {
  const text = await readTextFile(path, 'the policy', MAX_POLICY_BYTES);
  try {
    return await readPolicy(text, policyFormatOf(path));
  } catch (error) {
    if (!(error instanceof InvalidPolicy)) throw error;
    const faults = error.faults.map((fault) => `  - ${fault}`);
    throw new CommandFailure(exitCodes.policyFault, 'the policy file is invalid', faults.join('\n'));
  }
}
