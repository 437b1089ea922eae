// Checks of arguments at run time: callers of the library may be written in JavaScript. Messages name members and never
// show values, which may be secrets.

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Whether the value is a record made by a literal or by JSON.parse. A Map, a promise that was not awaited, or a class
 * instance has no members of its own: as rules it would require nothing.
 */
export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  if (!isRecord(value)) return false;
  const prototype = Object.getPrototypeOf(value) as object | null;
  // That of an object of another realm, such as a test of Jest, is not this realm's Object.prototype.
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Whether the value is a string and not empty. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** Whether the value is a list of strings that are not empty, and has one at least. `every` alone would skip holes. */
export function isListOfNames(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0 && Array.from(value as unknown[]).every(isName);
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
 * What is wrong with the request of an RPC. A misspelt `allSessions` would end one session instead of all.
 *
 * @param others names of members that are no strings, or are ignored
 */
export function requestFaults(
  request: unknown,
  required: readonly string[],
  optional: readonly string[] = [],
  others: readonly string[] = [],
): string[] {
  if (!isPlainObject(request)) return [`the argument must be an object, { ${required.join(', ')} }`];
  return [
    ...unknownMembers(request, [...required, ...optional, ...others]).map(
      (name) => `${name} is not a known member`,
    ),
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
  const path = prefix ? `${prefix.trimEnd()}.` : '';
  const faults = unknownMembers(account, ['clientId', 'clientSecret', 'audience']).map(
    (name) => `${path}${name} is not a known member of a service account`,
  );
  if (account['audience'] !== undefined && !isName(account['audience']))
    faults.push(`${path}audience must be a string that is not empty`);
  return faults;
}

/** @throws TypeError when a guard gets something else than the result of `createVerifier` */
export function requireVerifier(name: string, verifier: unknown): void {
  if (!hasMethods(verifier, 'verify')) throwFaults(name, ['the verifier must come from createVerifier']);
}

/** Whether the value is a time span that can be waited for, ms. */
export function isDuration(value: unknown, maxMs = Infinity): value is number {
  return typeof value === 'number' && value > 0 && value <= maxMs;
}
