import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { parse } from 'yaml';

import { runPostern } from '../support/run-postern.ts';
import { startEnvoy } from './running-envoy.ts';
import { toolPath } from './tool.ts';

const upstreamFile = fileURLToPath(new URL('../../deploy/envoy/upstream.mjs', import.meta.url));

export interface FreshFactorRoute {
  /** Calls the method that wants any token, with one role. */
  list(token: string): Promise<Response>;
  /** Calls the method that wants a fresh second factor. */
  cancel(token: string): Promise<Response>;
  stop(): Promise<void>;
}

/** Starts Envoy with the routes that `postern policy envoy` prints for a policy file. */
export async function startFreshFactorRoute(
  folder: string,
  { grpcPort, httpPort }: { readonly grpcPort: number; readonly httpPort: number },
  { role, maxAuthAgeSeconds }: { readonly role: string; readonly maxAuthAgeSeconds: number },
): Promise<FreshFactorRoute> {
  const file = join(folder, 'policy.yaml');
  const rules = { List: `{roles: [${role}]}`, Cancel: `{min_acr: aal2, max_auth_age: ${maxAuthAgeSeconds}}` };
  const lines = Object.entries(rules).map(([method, rule]) => `  /shop.Orders/${method}: ${rule}\n`);
  writeFileSync(file, `version: 1\nmethods:\n${lines.join('')}`);
  const printed = await runPostern(['policy', 'envoy', file, '--cluster', 'upstream']);
  const { routes } = parse(printed.stdout) as { routes: unknown };

  const upstream = spawn(process.execPath, [upstreamFile, '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(upstream.stdout, 'data')) as [Buffer];
  const { port: upstreamPort } = JSON.parse(line.toString()) as { port: number };
  const ports = { 50051: grpcPort, 8080: httpPort, 8000: upstreamPort };
  const envoy = await startEnvoy(toolPath('envoy'), 'envoy.yaml', folder, ports, (json) => {
    const configuration: unknown = JSON.parse(json, (key, value: unknown) =>
      key === 'routes' ? routes : value,
    );
    return JSON.stringify(configuration);
  }).catch((error: unknown) => {
    upstream.kill('SIGTERM');
    throw error;
  });
  const get = (method: string, token: string) =>
    fetch(`${envoy.url}/shop.Orders/${method}`, { headers: { authorization: `Bearer ${token}` } });
  return {
    list: (token) => get('List', token),
    cancel: (token) => get('Cancel', token),
    async stop() {
      await envoy.stop();
      upstream.kill('SIGTERM');
    },
  };
}

/** The challenge of RFC 9470, section 3, for the route. */
export const challengeFor = (maxAuthAgeSeconds: number) =>
  new RegExp(
    `^Bearer .*error="insufficient_user_authentication".*acr_values="aal2".*max_age="${maxAuthAgeSeconds}"`,
  );
