import { randomBytes } from 'node:crypto';

export const masterKey = randomBytes(32).toString('base64');

/** Listeners on ports chosen by the system. */
export const anyPorts = { POSTERN_GRPC_LISTEN: '127.0.0.1:0', POSTERN_HTTP_LISTEN: '127.0.0.1:0' } as const;

/** The settings that test services are started with. */
export function serviceEnvironment(databaseUrl: string): Record<string, string> {
  return { DATABASE_URL: databaseUrl, POSTERN_MASTER_KEY: masterKey, ...anyPorts };
}
