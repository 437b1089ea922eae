const PARTS = /^(?<scheme>postgres(?:ql)?:\/\/(?:[^@/?#]*@)?)(?<hosts>[^/?#]*)(?<rest>(?:[/?#].*)?)$/s;

/**
 * One URL for each server that a `postgres://` URL names, in its order: as in libpq, several are divided by commas,
 * each with a port of its own or none (`postgres://user:password@one:5432,two/database`).
 */
export function databaseServers(url: string): readonly string[] {
  const { scheme = '', hosts = '', rest = '' } = PARTS.exec(url)?.groups ?? {};
  return hosts.includes(',') ? hosts.split(',').map((host) => scheme + host + rest) : [url];
}
