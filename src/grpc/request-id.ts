const REQUEST_ID = /^[\w.:-]{1,64}$/;

/** The id that a caller gave its call; undefined where it gave none, or one that is not fit for logs. */
export function requestIdOf(sent: unknown): string | undefined {
  return typeof sent === 'string' && REQUEST_ID.test(sent) ? sent : undefined;
}
