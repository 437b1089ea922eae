// Checks of arguments at run time: callers of the library may be written in JavaScript. Messages name members and never
// show values, which may be secrets.

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whether the value is a string and not empty. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** The members that have no meaning, such as a misspelt one. */
export function unknownMembers(argument: object, known: readonly string[]): string[] {
  return Object.keys(argument).filter((name) => !known.includes(name));
}

/** Whether the value has these methods. */
export function hasMethods(value: unknown, ...names: readonly string[]): boolean {
  const members = value as Readonly<Record<string, unknown>> | null | undefined;
  return names.every((name) => typeof members?.[name] === 'function');
}

/** @throws TypeError with every fault, for the function `name` */
export function throwFaults(name: string, faults: readonly string[]): void {
  if (faults.length > 0) throw new TypeError(`${name}: ${faults.join('; ')}`);
}

/**
 * What is wrong with the request of an RPC. Members that it does not use are no fault: a whole `TokenSet` is a good
 * request for `verifyToken`.
 */
export function requestFaults(
  request: unknown,
  required: readonly string[],
  optional: readonly string[] = [],
): string[] {
  if (!isRecord(request)) return [`the argument must be an object, { ${required.join(', ')} }`];
  return [
    ...required.filter((name) => typeof request[name] !== 'string').map((name) => `${name} must be a string`),
    ...optional
      .filter((name) => request[name] !== undefined && typeof request[name] !== 'string')
      .map((name) => `${name} must be a string or absent`),
  ];
}

/** What is wrong with a service account. */
export function accountFaults(account: unknown, prefix = ''): string[] {
  if (!isRecord(account) || !isName(account['clientId']) || !isName(account['clientSecret']))
    return [`${prefix || 'the account '}must have clientId and clientSecret`];
  if (account['audience'] !== undefined && !isName(account['audience']))
    return [`${prefix ? `${prefix.trimEnd()}.` : ''}audience must be a string that is not empty`];
  return [];
}

/** @throws TypeError when a guard gets something else than the result of `createVerifier` */
export function requireVerifier(name: string, verifier: unknown): void {
  if (!hasMethods(verifier, 'verify')) throwFaults(name, ['the verifier must come from createVerifier']);
}

/** Whether the value is a time span that can be waited for, ms. */
export function isDuration(value: unknown, maxMs = Infinity): value is number {
  return typeof value === 'number' && value > 0 && value <= maxMs;
}
