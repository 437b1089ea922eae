import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type Authority, writeIssued } from '../../support/certificates.ts';
import { freePort } from '../running-postgres.ts';
import { runTool } from '../run-tool.ts';
import { toolPath } from '../tool.ts';
import { until } from '../until.ts';
import { askJson } from './https-json.ts';
import { type StartedProgram, startProgram } from './started-program.ts';

export const TRUST_DOMAIN = 'spiffe://example.org';
const NODE = `${TRUST_DOMAIN}/node`;

/** An X509-SVID and the certificates of its trust domain, PEM. */
export interface X509Svid {
  readonly cert: string;
  readonly key: string;
  readonly bundle: string;
}

/** A SPIRE server and an agent beside it. This process is the workload, attested by its user. */
export interface RunningSpire {
  /** The bundle endpoint of the server, with a certificate of the web (profile `https_web`). */
  readonly bundleUrl: string;
  /** The trust bundle as SPIFFE writes it, which is a key set. */
  bundle(): Promise<string>;
  /** Gives this process an identity, and waits until the agent has it. */
  register(id: string): Promise<void>;
  unregister(id: string): Promise<void>;
  /** Asks the Workload API for a JWT-SVID. The agent keeps one for each list of audiences. */
  jwtSvidOf(id: string, ...audiences: string[]): Promise<string>;
  /** Asks the Workload API for the X509-SVID of the only identity. */
  x509Svid(): Promise<X509Svid>;
  /**
   * Makes the server sign with a new authority, and marks the former one as tainted, which lets agents renew what it signed.
   *
   * @returns a function that removes the former one from the bundle
   */
  replaceAuthority(kind: 'jwt' | 'x509'): Promise<() => Promise<void>>;
  stop(): Promise<void>;
}

/** @param databaseUrl an empty database for the server */
export async function startSpire(
  folder: string,
  authority: Authority,
  databaseUrl: string,
): Promise<RunningSpire> {
  const [port, bundlePort] = [await freePort(), await freePort()];
  const [serverSocket, agentSocket] = [join(folder, 'server.sock'), join(folder, 'agent.sock')];
  const { cert, key } = writeIssued(folder, 'bundle', authority.issue({ dns: ['localhost'] }));
  const serverFile = join(folder, 'server.conf');
  writeFileSync(
    serverFile,
    serverConfig({ port, bundlePort, socket: serverSocket, folder, cert, key, databaseUrl }),
  );
  const bundleUrl = `https://127.0.0.1:${bundlePort}`;
  const server = (...words: string[]) => run('spire-server', [...words, '-socketPath', serverSocket]);
  const agent = (...words: string[]) => run('spire-agent', [...words, '-socketPath', agentSocket]);
  const started: StartedProgram[] = [];
  const stop = async () => {
    for (const program of started.reverse()) await program.stop();
  };
  try {
    started.push(
      await startProgram(toolPath('spire-server'), ['run', '-config', serverFile], async () => {
        await server('healthcheck');
        return (await askJson(bundleUrl, authority.cert)).status === 200;
      }),
    );
    const trustBundleFile = join(folder, 'trust-bundle.pem');
    writeFileSync(trustBundleFile, await server('bundle', 'show'));
    const agentFile = join(folder, 'agent.conf');
    writeFileSync(agentFile, agentConfig({ port, socket: agentSocket, folder, trustBundleFile }));
    const { value: joinToken } = JSON.parse(
      await server('token', 'generate', '-spiffeID', NODE, '-output', 'json'),
    ) as { value: string };
    const words = ['run', '-config', agentFile, '-joinToken', joinToken];
    started.push(await startProgram(toolPath('spire-agent'), words, () => agent('healthcheck')));
  } catch (error) {
    await stop();
    throw error;
  }
  const jwtSvidOf: RunningSpire['jwtSvidOf'] = async (id, ...audiences) => {
    const words = ['-audience', audiences.join(','), '-spiffeID', id, '-output', 'json'];
    const [first] = JSON.parse(await agent('api', 'fetch', 'jwt', ...words)) as {
      svids: { svid: string }[];
    }[];
    return String(first?.svids[0]?.svid);
  };
  const entries = new Map<string, string>();
  return {
    bundleUrl,
    bundle: () => server('bundle', 'show', '-format', 'spiffe'),
    async register(id) {
      const selector = `unix:uid:${process.getuid?.()}`;
      const words = ['-parentID', NODE, '-spiffeID', id, '-selector', selector, '-output', 'json'];
      const { results } = JSON.parse(await server('entry', 'create', ...words)) as {
        results: { entry: { id: string } }[];
      };
      entries.set(id, String(results[0]?.entry.id));
      await until(() => jwtSvidOf(id, 'registered'), 30_000);
    },
    async unregister(id) {
      await server('entry', 'delete', '-entryID', String(entries.get(id)));
      await until(
        () =>
          jwtSvidOf(id, 'unregistered').then(
            () => false,
            () => true,
          ),
        30_000,
      );
    },
    jwtSvidOf,
    async x509Svid() {
      const target = join(folder, 'svid');
      mkdirSync(target, { recursive: true });
      await agent('api', 'fetch', 'x509', '-silent', '-write', target);
      const read = (name: string) => readFileSync(join(target, name), 'utf8');
      return { cert: read('svid.0.pem'), key: read('svid.0.key'), bundle: read('bundle.0.pem') };
    },
    async replaceAuthority(kind) {
      const manage = async (...words: string[]) =>
        JSON.parse(await server('localauthority', kind, ...words, '-output', 'json')) as Record<
          string,
          { authority_id: string } | undefined
        >;
      const { active } = await manage('show');
      const { prepared_authority: prepared } = await manage('prepare');
      await manage('activate', '-authorityID', String(prepared?.authority_id));
      await manage('taint', '-authorityID', String(active?.authority_id));
      return async () => {
        await manage('revoke', '-authorityID', String(active?.authority_id));
      };
    },
    stop,
  };
}

async function run(name: string, words: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runTool(name, words);
  if (exitCode !== 0) throw new Error(`${name} ${words.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}

function serverConfig(of: {
  port: number;
  bundlePort: number;
  socket: string;
  folder: string;
  cert: string;
  key: string;
  databaseUrl: string;
}): string {
  const url = new URL(of.databaseUrl);
  const database = [
    `host=${url.searchParams.get('host') ?? url.hostname}`,
    `port=${url.port}`,
    `user=${url.username}`,
    `dbname=${url.pathname.slice(1)}`,
    'sslmode=disable',
  ].join(' ');
  return `
server {
  bind_address = "127.0.0.1"
  bind_port = "${of.port}"
  socket_path = "${of.socket}"
  trust_domain = "example.org"
  data_dir = "${of.folder}/server"
  log_level = "WARN"
  federation {
    bundle_endpoint {
      address = "127.0.0.1"
      port = ${of.bundlePort}
      profile "https_web" {
        serving_cert_file {
          cert_file_path = "${of.cert}"
          key_file_path = "${of.key}"
          file_sync_interval = "1h"
        }
      }
    }
  }
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type = "postgres"
      connection_string = "${database}"
    }
  }
  NodeAttestor "join_token" {
    plugin_data {}
  }
  KeyManager "memory" {
    plugin_data {}
  }
}
`;
}

function agentConfig(of: { port: number; socket: string; folder: string; trustBundleFile: string }): string {
  return `
agent {
  data_dir = "${of.folder}/agent"
  log_level = "WARN"
  server_address = "127.0.0.1"
  server_port = "${of.port}"
  socket_path = "${of.socket}"
  trust_bundle_path = "${of.trustBundleFile}"
  trust_domain = "example.org"
}
plugins {
  NodeAttestor "join_token" {
    plugin_data {}
  }
  KeyManager "memory" {
    plugin_data {}
  }
  WorkloadAttestor "unix" {
    plugin_data {}
  }
}
`;
}
