/** The SQLSTATE of what the database said (PostgreSQL, appendix A); undefined for any other error. */
export function sqlState(error: unknown): string | undefined {
  const code = codeOf(error);
  return code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** A SQLSTATE, or Node's name of a fault. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** In one line. Of a host with several addresses, or of several servers, what each of them said. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) {
    return [...new Set(error.errors.map(messageOf))].join('; ');
  }
  const text = error instanceof Error ? error.message : String(error);
  // Knex puts the statement and a dash before what the database said.
  const said = text.slice(text.lastIndexOf(' - ') + 1).replace(/^- /, '');
  return said.replace(/\s+/g, ' ').trim() || (codeOf(error) ?? 'an error without a text');
}
