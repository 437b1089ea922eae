import { readFile } from 'node:fs/promises';

import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';

import { compareMethods, type PolicyComparison } from '../../../policy/compare-methods.ts';
import type { MethodPolicy } from '../../../policy/method-policy.ts';
import { collectOption, type CommandDefinition } from '../../command.ts';
import { CommandFailure } from '../../command-failure.ts';
import { exitCodes } from '../../exit-codes.ts';
import { printJson, printLines } from '../../output.ts';
import { openPolicy } from './open-policy.ts';

interface Options {
  readonly descriptorSet?: readonly string[];
  readonly json?: boolean;
}

/** `postern policy check`. It reads files, and neither settings nor the database. */
export const policyCheck: CommandDefinition = (command) => {
  command
    .argument('<FILE>', 'the policy file: YAML, or JSON when its name ends in .json')
    .option(
      '--descriptor-set <file>',
      'compare it with the services in this file of `buf build -o` or `protoc --descriptor_set_out`; may be given several times',
      collectOption,
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `\nThe exit code is ${exitCodes.ok} if every method has a rule and every rule a method, and ${exitCodes.policyFault} otherwise.`,
    )
    .action(run);
};

async function run(path: string, { descriptorSet = [], json }: Options): Promise<void> {
  const policy = await openPolicy(path);
  const served = new Set((await Promise.all(descriptorSet.map(methodsIn))).flat());
  const comparison =
    descriptorSet.length > 0 ? compareMethods(policy, served) : { unlisted: [], covered: [], unknown: [] };
  if (json === true) printJson({ rules: policy.methods.size, ...comparison });
  else printLines(reportOf(policy, comparison));
  const faults = comparison.unlisted.length + comparison.unknown.length;
  if (faults === 0) return;
  throw new CommandFailure(
    exitCodes.policyFault,
    `the policy and the services differ in ${faults} ${faults === 1 ? 'method' : 'methods'}`,
    'Give each method a rule, and remove the rules of methods that do not exist.',
  );
}

function reportOf(policy: MethodPolicy, { unlisted, covered, unknown }: PolicyComparison): string[] {
  return [
    `${policy.methods.size} ${policy.methods.size === 1 ? 'rule' : 'rules'}; other methods ${policy.otherwise === null ? 'are refused' : "have the rule 'otherwise'"}`,
    ...unlisted.map((method) => `no rule: ${method}`),
    ...covered.map((method) => `by otherwise: ${method}`),
    ...unknown.map((method) => `no such method: ${method}`),
  ];
}

async function methodsIn(path: string): Promise<string[]> {
  try {
    const { file } = fromBinary(FileDescriptorSetSchema, await readFile(path));
    const methods = file.flatMap(({ package: scope, service: services }) =>
      services.flatMap(({ name, method }) =>
        method.map((one) => `/${scope === '' ? '' : `${scope}.`}${name}/${one.name}`),
      ),
    );
    if (methods.length > 0) return methods;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'no descriptor set';
    throw new CommandFailure(
      exitCodes.refused,
      `the descriptor set ${path} cannot be read (${code})`,
      'Make it with: buf build -o FILE.binpb',
    );
  }
  throw new CommandFailure(
    exitCodes.refused,
    `the descriptor set ${path} has no methods`,
    'Make it from the protos that define the services.',
  );
}
