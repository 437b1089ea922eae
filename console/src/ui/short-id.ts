const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const LONG = 24;

/** Whether a text can be an id: of what cannot, there is nothing to ask the service. */
export function isId(text: string): boolean {
  return UUID.test(text);
}

/**
 * An id that fits into a table. Ids begin with the time, so those of one minute begin alike: the end tells them apart. The
 * names of certificates and operators stay whole.
 */
export function shortId(id: string): string {
  if (isId(id)) return `${id.slice(0, 8)}…${id.slice(-6)}`;
  return id.length > LONG && /^[\w-]+$/.test(id) ? `${id.slice(0, 8)}…` : id;
}
