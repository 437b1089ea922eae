import { InvalidArgumentError } from 'commander';

import { envoyRoutes, gatewayObjects } from '../../../policy/envoy-routes.ts';
import { asYaml } from '../../../policy/yaml-text.ts';
import type { CommandDefinition } from '../../command.ts';
import { printLines } from '../../output.ts';
import { openPolicy } from './open-policy.ts';

/** `postern policy envoy` */
export const policyEnvoy: CommandDefinition = (command) => {
  command
    .argument('<FILE>', 'the policy file')
    .requiredOption('--cluster <name>', 'the cluster of the server to which the routes lead')
    .addHelpText(
      'after',
      '\nIt prints the `routes` of a virtual host, in YAML. A Check that has POSTERN_POLICY_FILE needs none of them.',
    )
    .action(async (path: string, { cluster }: { cluster: string }) => {
      print([{ routes: envoyRoutes(await openPolicy(path), cluster) }]);
    });
};

interface GatewayOptions {
  readonly name: string;
  readonly gateway: string;
  readonly backend: readonly [string, number];
  readonly check: readonly [string, number];
}

/** `postern policy gateway` */
export const policyGateway: CommandDefinition = (command) => {
  command
    .argument('<FILE>', 'the policy file')
    .requiredOption('--gateway <name>', 'the Gateway that the routes belong to')
    .requiredOption('--backend <name:port>', 'the Kubernetes service that serves the methods', parseService)
    .requiredOption('--check <name:port>', 'the Kubernetes service that serves Check', parseService)
    .option('--name <prefix>', 'how the names of the objects begin', 'postern')
    .action(async (path: string, { name, gateway, backend, check }: GatewayOptions) => {
      const [[backendName, backendPort], [checkService, checkPort]] = [backend, check];
      const names = { name, gateway, backend: backendName, backendPort, checkService, checkPort };
      print(gatewayObjects(await openPolicy(path), names));
    });
};

function print(documents: readonly unknown[]): void {
  printLines(documents.map(asYaml).join('---\n').trimEnd().split('\n'));
}

function parseService(text: string): [string, number] {
  const [, name, port] = /^([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?):([1-9]\d{0,4})$/.exec(text) ?? [];
  if (name === undefined || Number(port) > 65_535) throw new InvalidArgumentError('It must be NAME:PORT.');
  return [name, Number(port)];
}
