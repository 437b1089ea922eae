import type { ServiceDefinition } from '@grpc/grpc-js';

import { INFRASTRUCTURE_METHODS } from '../policy/infrastructure-methods.ts';
import { PolicyFile, type PolicyFileEvent } from '../policy/policy-file.ts';
import { isName, isRecord, throwFaults, unknownMembers } from './argument-checks.ts';

export interface OpenPolicyFileOptions {
  /** The services of the server. If set, a rule for a method that none of them has is a fault of the file. */
  readonly services?: readonly ServiceDefinition[];
  /** Called when a changed file is used, and when it has faults, so that the previous policy stays in use. */
  readonly onEvent?: (event: PolicyFileEvent) => void;
}

/**
 * Reads a policy file: which callers may call which methods. It is read again every ten seconds; a file with a fault
 * never replaces a good one.
 *
 * @param path a file of YAML, which needs the package `yaml`, or of JSON when its name ends in `.json`
 * @throws InvalidPolicy for a file with faults, and the error with which a file cannot be read
 */
export async function openPolicyFile(path: string, options: OpenPolicyFileOptions = {}): Promise<PolicyFile> {
  throwFaults('openPolicyFile', argumentFaults(path, options));
  const { services, onEvent = () => undefined } = options;
  const served = services?.flatMap((service) => Object.values(service).map((method) => method.path));
  const servedMethods = new Set([...(served ?? []), ...INFRASTRUCTURE_METHODS]);
  return PolicyFile.open(path, {
    report(event) {
      try {
        onEvent(event);
      } catch (error) {
        // An error of the listener must not stop the reading of the file.
        process.emitWarning(`onEvent of openPolicyFile threw: ${String(error)}`);
      }
    },
    ...(served !== undefined && { isServed: (method) => servedMethods.has(method) }),
  });
}

function argumentFaults(path: unknown, options: unknown): string[] {
  if (!isName(path)) return ['the path must be a string'];
  if (!isRecord(options)) return ['the options must be an object, { services, onEvent }'];
  const { services, onEvent } = options;
  const faults = unknownMembers(options, ['services', 'onEvent']).map(
    (name) => `${name} is not a known option`,
  );
  if (services !== undefined && !(Array.isArray(services) && services.every(isRecord)))
    faults.push('services must be a list of service definitions');
  if (onEvent !== undefined && typeof onEvent !== 'function') faults.push('onEvent must be a function');
  return faults;
}
