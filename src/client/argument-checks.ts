// What a caller of the library gave, which types alone do not hold to its form.

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text that is not empty. */
export function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}

/** The members that mean nothing, a misspelt one say. */
export function unknownMembers(argument: object, known: readonly string[]): string[] {
  return Object.keys(argument).filter((name) => !known.includes(name));
}
