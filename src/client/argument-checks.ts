// Checks of arguments at run time: callers of the library may be written in JavaScript.

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
