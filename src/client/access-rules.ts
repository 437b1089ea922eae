import type { ServiceDefinition } from '@grpc/grpc-js';

import {
  type AuthenticationLevel,
  authenticationLevels,
  type AuthenticationRequirement,
  isAuthenticationLevel,
  MAX_AUTH_AGE_SECONDS,
} from '../domain/claims/authentication.ts';

import { isListOfNames, isName, isPlainObject, unknownMembers } from './argument-checks.ts';

/** What a valid token must contain in addition. */
export interface Requirements {
  /** An audience that the token must name. */
  readonly audience?: string;
  /** Roles that the subject must have, all of them. */
  readonly roles?: readonly string[];
  /**
   * The names of the services that may act for the subject; the token must have one of them as its last actor. Left out,
   * a token is accepted with an actor as without one: its subject counts.
   */
  readonly actors?: readonly string[];
  /**
   * The level that the user's session must have: `aal2` after a second factor or a passkey. Neither an API key nor a service
   * account has one. The refusal is UNAUTHENTICATED STEP_UP_REQUIRED.
   */
  readonly minAcr?: AuthenticationLevel;
  /** How many seconds ago the user must have proven who they are at most. Refused as for `minAcr`. */
  readonly maxAuthAgeSeconds?: number;
}

/** What a credential must contain, and from where it is used. */
export interface VerifyOptions extends Requirements {
  /**
   * The IP address of the client that sent the credential, for API keys that are limited to networks. Without it, and
   * with an address of this machine, such a key is refused.
   */
  readonly clientAddress?: string | null | undefined;
}

/** Who may call a method. */
export type MethodAccess =
  /** Anyone; a token is ignored. */
  | 'public'
  /** Anyone, but if a token is sent it must be valid. */
  | { readonly optional: true; readonly audience?: string }
  | Requirements;

/** What requirements say of the authentication of the user. */
export function authenticationIn({
  minAcr = null,
  maxAuthAgeSeconds = null,
}: Partial<AuthenticationRequirement>): AuthenticationRequirement {
  return { minAcr, maxAuthAgeSeconds };
}

const REQUIREMENT_MEMBERS = ['audience', 'roles', 'actors', 'minAcr', 'maxAuthAgeSeconds'];
const METHOD_NAME = /^\/[A-Za-z_][\w.]*\/[A-Za-z_]\w*$/;

/**
 * Checks access rules when a server is set up. A misspelt member, a role that is not a string or an unknown method would
 * silently open or close a method.
 *
 * @param services the services that the server serves; without them misspelt method names are not found
 * @throws TypeError that lists every fault
 */
export function validateRules(
  methods: Readonly<Record<string, MethodAccess>>,
  otherwise: MethodAccess,
  services?: readonly ServiceDefinition[],
): void {
  const served =
    services && new Set(services.flatMap((service) => Object.values(service).map(({ path }) => path)));
  const faults = Object.entries(methods).flatMap(([name, access]) => [
    ...(METHOD_NAME.test(name) ? [] : [`'${name}' is not a full method name; write /package.Service/Method`]),
    ...(served && !served.has(name) ? [`no service has the method '${name}'`] : []),
    ...accessFaults(access).map((fault) => `${name} ${fault}`),
  ]);
  faults.push(...accessFaults(otherwise).map((fault) => `otherwise ${fault}`));
  if (faults.length > 0) throw new TypeError(`the access rules are invalid: ${faults.join('; ')}`);
}

const validated = new WeakSet<Requirements>();

/** Checks each object only once. @throws TypeError that lists every fault */
export function validateRequirements(requirements: Requirements): void {
  if (validated.has(requirements)) return;
  const faults = memberFaults(requirements, REQUIREMENT_MEMBERS);
  if (faults.length > 0) throw new TypeError(`the requirements are invalid: ${faults.join('; ')}`);
  validated.add(requirements);
}

/** @throws TypeError that lists every fault */
export function validateVerifyOptions(options: VerifyOptions): void {
  if (!isPlainObject(options) || !('clientAddress' in options)) {
    validateRequirements(options);
    return;
  }
  const { clientAddress, ...requirements } = options as VerifyOptions;
  // Frameworks have no address for some requests.
  if (typeof (clientAddress ?? '') !== 'string')
    throw new TypeError('the requirements are invalid: has a clientAddress that is not a string');
  validateRequirements(requirements);
}

function accessFaults(access: unknown): string[] {
  if (access === 'public') return [];
  if (!isPlainObject(access)) return ["is neither 'public' nor a plain object"];
  const faults = memberFaults(access, [...REQUIREMENT_MEMBERS, 'optional']);
  if (!('optional' in access)) return faults;
  if (access['optional'] !== true)
    faults.push("has an 'optional' that is not true; set it to true or remove it");
  if ('roles' in access)
    faults.push("has both 'roles' and 'optional', but a caller without a token has no roles; remove one");
  if ('actors' in access)
    faults.push("has both 'actors' and 'optional', but a caller without a token has no actor; remove one");
  for (const name of ['minAcr', 'maxAuthAgeSeconds'])
    if (name in access)
      faults.push(`has both '${name}' and 'optional', but a caller without a token has no level; remove one`);
  return faults;
}

function memberFaults(value: unknown, known: readonly string[]): string[] {
  if (!isPlainObject(value))
    return ['is not a plain object with audience, roles, actors, minAcr and maxAuthAgeSeconds'];
  const { audience, roles, actors, minAcr, maxAuthAgeSeconds } = value;
  const faults = unknownMembers(value, known).map((name) => `has an unknown member '${name}'`);
  // A member that is undefined is a fault, too: a setting that is missing would silently drop the requirement.
  if ('audience' in value && !isName(audience)) faults.push('has an audience that is not a string');
  if ('roles' in value && !isListOfNames(roles)) faults.push('has roles that are not a list of strings');
  if ('actors' in value && !isListOfNames(actors)) faults.push('has actors that are not a list of strings');
  if ('minAcr' in value && !isAuthenticationLevel(minAcr))
    faults.push(`has a minAcr that is not ${authenticationLevels.join(' or ')}`);
  if ('maxAuthAgeSeconds' in value && !isMaxAuthAge(maxAuthAgeSeconds))
    faults.push('has a maxAuthAgeSeconds that is not a whole number of seconds, at least 1');
  return faults;
}

function isMaxAuthAge(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= MAX_AUTH_AGE_SECONDS;
}
