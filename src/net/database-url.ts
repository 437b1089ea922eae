const PARTS = /^(?<scheme>postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)(?<hosts>[^/?#]*)(?<rest>(?:[/?#].*)?)$/s;

/**
 * One URL for each server in a `postgres://` URL, in order. As in libpq, servers are separated by commas, each with an
 * optional port (`postgres://user:password@one:5432,two/database`).
 */
export function databaseServers(url: string): readonly string[] {
  const { scheme = '', hosts = '', rest = '' } = PARTS.exec(url)?.groups ?? {};
  return hosts.includes(',') ? hosts.split(',').map((host) => scheme + host + rest) : [url];
}
