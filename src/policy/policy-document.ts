import {
  authenticationLevels,
  type AuthenticationLevel,
  isAuthenticationLevel,
  MAX_AUTH_AGE_SECONDS,
  parseMaxAuthAge,
} from '../domain/claims/authentication.ts';
import { isIdentifier } from '../domain/claims/claim-values.ts';
import { nearestName } from '../domain/did-you-mean.ts';
import { methodPolicy, type MethodPolicy, type MethodRule, type RequiredToken } from './method-policy.ts';

/** A part of a policy file, the same for YAML and JSON. `line` is null in JSON. */
export type PolicyNode = { readonly line: number | null } & (
  | { readonly kind: 'text'; readonly text: string }
  /** A number, a boolean, null, or an unquoted word that some YAML readers take for one. */
  | { readonly kind: 'word'; readonly text: string }
  | { readonly kind: 'list'; readonly items: readonly PolicyNode[] }
  | { readonly kind: 'map'; readonly entries: readonly (readonly [key: PolicyNode, value: PolicyNode])[] }
);

/** A policy file that is not used. Each fault is one line that says what to do. */
export class InvalidPolicy extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(`the policy file is invalid: ${faults.join('; ')}`);
    this.name = 'InvalidPolicy';
    this.faults = faults;
  }
}

const FILE_MEMBERS = ['version', 'audience', 'otherwise', 'methods'];
const RULE_MEMBERS = ['roles', 'actors', 'audience', 'min_acr', 'max_auth_age'];
const METHOD_NAME = /^\/[A-Za-z_][A-Za-z0-9_.]*\/[A-Za-z_][A-Za-z0-9_]*$/;
/** A file with many faults is not a policy file. */
const MAX_FAULTS = 20;

/**
 * The policy of a document. A misspelt member or method would silently open or close a method, so nothing is ignored.
 *
 * @throws InvalidPolicy with every fault
 */
export function policyOf(document: PolicyNode): MethodPolicy {
  const faults = new Faults();
  const members = membersOf(document, 'the file', FILE_MEMBERS, faults);
  const version = members.get('version');
  if (version === undefined) faults.add(document, "'version' is missing; write version: 1");
  else if (version.kind !== 'word' || version.text !== '1')
    faults.add(version, 'the version is unknown to this release; write version: 1');
  const audience = audienceOf(members.get('audience'), 'the file', faults);
  const otherwise = members.get('otherwise');
  const otherwiseRule = otherwise === undefined ? null : ruleOf(otherwise, 'otherwise', audience, faults);
  const methods = members.get('methods');
  if (methods === undefined) faults.add(document, "'methods' is missing; write methods: {} for none");
  const rules = methods === undefined ? new Map<string, MethodRule>() : rulesOf(methods, audience, faults);
  faults.throwIfAny();
  return methodPolicy(rules, otherwiseRule);
}

function rulesOf(methods: PolicyNode, audience: string | null, faults: Faults): Map<string, MethodRule> {
  const rules = new Map<string, MethodRule>();
  for (const [name, value] of membersOf(methods, "'methods'", null, faults)) {
    if (!METHOD_NAME.test(name))
      faults.add(value, `'${shown(name)}' is not a full method name; write /package.Service/Method`);
    rules.set(name, ruleOf(value, shown(name), audience, faults));
  }
  return rules;
}

function ruleOf(node: PolicyNode, place: string, audience: string | null, faults: Faults): MethodRule {
  if (node.kind === 'text' && node.text === 'public') return 'public';
  const open: RequiredToken = { audience, roles: [], actors: [], minAcr: null, maxAuthAgeSeconds: null };
  if (node.kind !== 'map') {
    faults.add(node, `${place} is neither public nor a mapping; write {} to require a valid token`);
    return open;
  }
  const members = membersOf(node, place, RULE_MEMBERS, faults);
  return {
    audience: audienceOf(members.get('audience'), place, faults) ?? audience,
    roles: namesOf(members.get('roles'), `${place}: roles`, faults),
    actors: namesOf(members.get('actors'), `${place}: actors`, faults),
    minAcr: levelOf(members.get('min_acr'), place, faults),
    maxAuthAgeSeconds: maxAuthAgeOf(members.get('max_auth_age'), place, faults),
  };
}

function audienceOf(node: PolicyNode | undefined, place: string, faults: Faults): string | null {
  return node === undefined ? null : nameOf(node, `${place}: audience`, faults);
}

function namesOf(node: PolicyNode | undefined, place: string, faults: Faults): readonly string[] {
  if (node === undefined) return [];
  if (node.kind !== 'list' || node.items.length === 0) {
    faults.add(node, `${place} is not a list of names; write [name], or remove it`);
    return [];
  }
  return node.items.map((item) => nameOf(item, place, faults));
}

function nameOf(node: PolicyNode, place: string, faults: Faults): string {
  if (node.kind === 'text' && isIdentifier(node.text)) return node.text;
  if (node.kind === 'word')
    faults.add(node, `${place} has '${shown(node.text)}', which is not text everywhere; write it in quotes`);
  else faults.add(node, `${place} is not a name of 1 to 256 characters without control characters`);
  return '';
}

function levelOf(node: PolicyNode | undefined, place: string, faults: Faults): AuthenticationLevel | null {
  if (node === undefined) return null;
  if (node.kind === 'text' && isAuthenticationLevel(node.text)) return node.text;
  faults.add(node, `${place}: min_acr is not a level; write ${authenticationLevels.join(' or ')}`);
  return null;
}

/** A number of seconds, as `version` is a number: without quotes. */
function maxAuthAgeOf(node: PolicyNode | undefined, place: string, faults: Faults): number | null {
  if (node === undefined) return null;
  const seconds = node.kind === 'word' ? parseMaxAuthAge(node.text) : null;
  if (seconds === null) {
    const range = `1 to ${MAX_AUTH_AGE_SECONDS}`;
    faults.add(
      node,
      `${place}: max_auth_age is not a number of seconds; write a whole number, ${range}, without quotes`,
    );
  }
  return seconds;
}

/** @param known the names that the members may have; null allows any */
function membersOf(
  node: PolicyNode,
  place: string,
  known: readonly string[] | null,
  faults: Faults,
): Map<string, PolicyNode> {
  const members = new Map<string, PolicyNode>();
  if (node.kind !== 'map') {
    faults.add(node, `${place} is not a mapping`);
    return members;
  }
  for (const [key, value] of node.entries) {
    if (key.kind !== 'text') {
      faults.add(key, `${place} has a member whose name is not text`);
      continue;
    }
    const name = key.text;
    if (members.has(name)) faults.add(key, `${place} has the member '${shown(name)}' twice; remove one`);
    else if (known !== null && !known.includes(name)) {
      const nearest = nearestName(name, known);
      const advice = nearest === null ? `the members are ${known.join(', ')}` : `did you mean '${nearest}'?`;
      faults.add(key, `${place} has an unknown member '${shown(name)}'; ${advice}`);
    }
    members.set(name, value);
  }
  return members;
}

/** Names of a file in messages: bounded, and on one line. */
function shown(name: string): string {
  const printable = name.replace(/[\p{Cc}\p{Cs}]/gu, '?');
  return printable.length <= 80 ? printable : `${printable.slice(0, 79)}…`;
}

class Faults {
  readonly #faults: string[] = [];

  add({ line }: PolicyNode, fault: string): void {
    this.#faults.push(line === null ? fault : `line ${line}: ${fault}`);
  }

  throwIfAny(): void {
    const found = this.#faults.length;
    if (found === 0) return;
    const more = found > MAX_FAULTS ? [`and ${found - MAX_FAULTS} more`] : [];
    throw new InvalidPolicy([...this.#faults.slice(0, MAX_FAULTS), ...more]);
  }
}
