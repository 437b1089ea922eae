import type { ServiceDefinition } from '@grpc/grpc-js';

import { isName, isRecord, unknownMembers } from './argument-checks.ts';

/** What a token must say beside being good. */
export interface Requirements {
  /** One that the token must be for. */
  readonly audience?: string;
  /** Roles of which the subject must have every one. */
  readonly roles?: readonly string[];
}

/** What a method asks of its caller. */
export type MethodAccess =
  /** Anybody; a token is not looked at. */
  | 'public'
  /** Anybody, but a token that comes must be good. */
  | { readonly optional: true; readonly audience?: string }
  | Requirements;

const METHOD_NAME = /^\/[A-Za-z_][\w.]*\/[A-Za-z_]\w*$/;

/**
 * Refuses rules that would silently open or close something: a misspelt member, a role that is no text, a method that
 * nothing serves. For the moment at which a service is set up.
 *
 * @param services what the server serves; without it a misspelt method name is not noticed
 * @throws TypeError that names every fault
 */
export function validateRules(
  methods: Readonly<Record<string, MethodAccess>>,
  otherwise: MethodAccess,
  services?: readonly ServiceDefinition[],
): void {
  const served = services && new Set(services.flatMap((one) => Object.values(one).map(({ path }) => path)));
  const faults = Object.entries(methods).flatMap(([name, access]) => [
    ...(METHOD_NAME.test(name) ? [] : [`'${name}' is not a full method name; write /package.Service/Method`]),
    ...(served && !served.has(name) ? [`no service has the method '${name}'`] : []),
    ...accessFaults(access).map((fault) => `${name} ${fault}`),
  ]);
  faults.push(...accessFaults(otherwise).map((fault) => `otherwise ${fault}`));
  if (faults.length > 0) throw new TypeError(`the access rules are invalid: ${faults.join('; ')}`);
}

const validated = new WeakSet<Requirements>();

/** Looks at an object once. @throws TypeError */
export function validateRequirements(requirements: Requirements): void {
  if (validated.has(requirements)) return;
  const faults = memberFaults(requirements, ['audience', 'roles']);
  if (faults.length > 0) throw new TypeError(`the requirements are invalid: ${faults.join('; ')}`);
  validated.add(requirements);
}

function accessFaults(access: unknown): string[] {
  if (access === 'public') return [];
  if (!isRecord(access)) return ["is neither 'public' nor an object"];
  const faults = memberFaults(access, ['audience', 'roles', 'optional']);
  if (!('optional' in access)) return faults;
  if (access['optional'] !== true)
    faults.push("has an 'optional' that is not true; set it to true or remove it");
  if ('roles' in access)
    faults.push("has both 'roles' and 'optional', but a caller without a token has no roles; remove one");
  return faults;
}

function memberFaults(value: unknown, known: readonly string[]): string[] {
  if (!isRecord(value)) return ['is not an object with audience and roles'];
  const { audience, roles } = value;
  const faults = unknownMembers(value, known).map((name) => `has an unknown member '${name}'`);
  if (audience !== undefined && !isName(audience)) faults.push('has an audience that is not a string');
  if (roles !== undefined && !(Array.isArray(roles) && roles.length > 0 && roles.every(isName)))
    faults.push('has roles that are not a list of strings');
  return faults;
}
