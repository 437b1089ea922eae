// Three PostgreSQL servers under Patroni with one etcd, on ports of the loopback interface. Root starts all of it as nobody.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chownSync,
  cpSync,
  existsSync,
  lchownSync,
  mkdtempSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath, URL } from 'node:url';
import pg from 'pg';
import { TcpProxy } from '../../support/tcp-proxy.mjs';
import { childrenOf, signal } from './processes.mjs';

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const asNobody = isRoot ? { uid: NOBODY, gid: NOBODY } : {};
const programs = process.env.INTEROP_DIR ?? fileURLToPath(new URL('../../../.interop', import.meta.url));
/** Patroni starts its helpers with this Python; one in a home of root could not be read by nobody. */
const PYTHON = '/usr/bin/python3';
const USER = 'postern';

/** The settings that docs/operations.md recommends. Patroni raises a shorter `ttl` to 20. */
const RECOMMENDED = { ttl: 20, loop_wait: 2, retry_timeout: 4, synchronous_mode: true };

/** A port that was free a moment ago. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Polls until `ask` is truthy. @throws after `limitMs`, with the last failure and `about` */
export async function until(about, ask, limitMs = 60_000) {
  const endMs = performance.now() + limitMs;
  let failure;
  while (performance.now() < endMs) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (error) {
      failure = error;
    }
    await pause(50);
  }
  throw new Error(`not within ${limitMs} ms: ${about}`, { cause: failure });
}

export class PatroniCluster {
  nodes = [];
  #folder = mkdtempSync(join(tmpdir(), 'postern-patroni-'));
  #settings;
  #etcd;
  #etcdPorts;

  /** @param settings of the cluster in addition to the recommended ones, such as `failsafe_mode` */
  static async start(settings = {}) {
    const cluster = new PatroniCluster({ ...RECOMMENDED, ...settings });
    try {
      await cluster.#start();
    } catch (error) {
      const logs = cluster.nodes.map(({ name }) => `${name}: ${cluster.log(name).slice(-1_500)}`);
      await cluster.remove();
      throw new Error(logs.join('\n'), { cause: error });
    }
    return cluster;
  }

  constructor(settings) {
    this.#settings = settings;
    if (isRoot) chownSync(this.#folder, NOBODY, NOBODY);
  }

  async #start() {
    const packages = join(this.#folder, 'packages');
    cpSync(realpathSync(join(programs, 'bin/patroni')), packages, { recursive: true });
    if (isRoot) chownTree(packages);
    this.#etcdPorts = { client: await freePort(), peer: await freePort() };
    this.startEtcd();
    await until(
      'etcd',
      async () => (await globalThis.fetch(`http://127.0.0.1:${this.#etcdPorts.client}/health`)).ok,
    );
    for (const name of ['db1', 'db2', 'db3']) {
      const node = { name, port: await freePort(), restPort: await freePort() };
      this.nodes.push(node);
      node.toStandbys = new TcpProxy({ host: '127.0.0.1', port: node.port });
      node.toEtcd = new TcpProxy({ host: '127.0.0.1', port: this.#etcdPorts.client });
      node.sharedPort = await node.toStandbys.open();
      node.etcdPort = await node.toEtcd.open();
      this.#own(`${name}.yml`, JSON.stringify(this.#nodeSettings(node)));
      this.startNode(node);
    }
    await this.untilWhole();
  }

  /** The other servers reach this one, and it reaches etcd, through proxies that a test can cut. */
  #nodeSettings({ name, port, restPort, sharedPort, etcdPort }) {
    const user = { username: USER };
    return {
      scope: 'postern',
      name,
      restapi: { listen: `127.0.0.1:${restPort}`, connect_address: `127.0.0.1:${restPort}` },
      // Otherwise Patroni asks etcd where it is, and goes there directly.
      etcd3: { host: `127.0.0.1:${etcdPort}`, use_proxies: true },
      bootstrap: {
        dcs: {
          ...this.#settings,
          maximum_lag_on_failover: 1_048_576,
          postgresql: {
            use_pg_rewind: true,
            parameters: {
              max_connections: 100,
              wal_keep_size: '64MB',
              max_wal_senders: 6,
              wal_sender_timeout: '10s',
            },
          },
        },
        // Without fsync, here and below: this machine does not lose power in the middle of a test.
        initdb: [{ encoding: 'UTF8' }, { locale: 'C.UTF-8' }, { auth: 'trust' }, 'no-sync'],
      },
      postgresql: {
        listen: `127.0.0.1:${port}`,
        connect_address: `127.0.0.1:${sharedPort}`,
        data_dir: join(this.#folder, name),
        bin_dir: dirname(realpathSync(join(programs, 'bin/postgres'))),
        pgpass: join(this.#folder, `${name}.pgpass`),
        authentication: { superuser: user, replication: user, rewind: user },
        basebackup: [{ checkpoint: 'fast' }, 'no-sync'],
        pg_hba: [
          'local all all trust',
          'host all all 127.0.0.1/32 trust',
          'host replication all 127.0.0.1/32 trust',
        ],
        parameters: {
          fsync: 'off',
          shared_buffers: '32MB',
          unix_socket_directories: this.#folder,
          log_checkpoints: 'off',
        },
      },
    };
  }

  /** A folder and a file in it belong to the user that PostgreSQL runs as. */
  #own(name, text) {
    const path = join(this.#folder, name);
    writeFileSync(path, text, { mode: 0o600 });
    if (isRoot) chownSync(path, NOBODY, NOBODY);
  }

  #spawn(name, command, words) {
    const log = openSync(join(this.#folder, `${name}.log`), 'a');
    const child = spawn(command, words, {
      ...asNobody,
      cwd: this.#folder,
      stdio: ['ignore', log, log],
      env: {
        PATH: '/usr/bin:/bin',
        HOME: this.#folder,
        LANG: 'C.UTF-8',
        PYTHONPATH: join(this.#folder, 'packages'),
      },
    });
    closeSync(log);
    return { child, ended: once(child, 'exit') };
  }

  log(name) {
    const path = join(this.#folder, `${name}.log`);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  startEtcd() {
    const { client, peer } = this.#etcdPorts;
    const [url, peerUrl] = [`http://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
    this.#etcd = this.#spawn('etcd', realpathSync(join(programs, 'bin/patroni-etcd')), [
      ...['--name', 'one', '--data-dir', join(this.#folder, 'etcd'), '--log-level', 'error'],
      ...['--listen-client-urls', url, '--advertise-client-urls', url],
      ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
      ...['--initial-cluster', `one=${peerUrl}`],
    ]);
  }

  async killEtcd() {
    this.#etcd.child.kill('SIGKILL');
    await this.#etcd.ended;
  }

  startNode(node) {
    node.patroni = this.#spawn(node.name, PYTHON, ['-m', 'patroni', join(this.#folder, `${node.name}.yml`)]);
  }

  /** The processes of a node: Patroni first, then PostgreSQL's. */
  processesOf({ name, patroni }) {
    const postmaster = this.#postmasterOf(name);
    return [patroni.child.pid, ...(postmaster ? [postmaster, ...childrenOf(postmaster)] : [])];
  }

  #postmasterOf(name) {
    try {
      const [pid] = readFileSync(join(this.#folder, name, 'postmaster.pid'), 'utf8').split('\n');
      return existsSync(`/proc/${pid}`) ? Number(pid) : undefined;
    } catch {
      return undefined;
    }
  }

  /** As when the machine is lost: nothing is told to anybody. */
  async killNode(node) {
    this.signalNode(node, 'SIGKILL');
    await node.patroni.ended;
  }

  signalNode(node, name) {
    for (const pid of this.processesOf(node)) signal(pid, name);
  }

  /** Members as Patroni shows them, asked of whichever node answers. */
  async members() {
    const answers = this.nodes.map(async ({ restPort }) => {
      const answer = await globalThis.fetch(`http://127.0.0.1:${restPort}/cluster`, {
        signal: globalThis.AbortSignal.timeout(1_000),
      });
      return (await answer.json()).members;
    });
    return Promise.any(answers);
  }

  /**
   * The node that has the leader's lock and runs as primary, by its own word: what another one says of the cluster may be old.
   *
   * @throws when there is none for a minute
   */
  leader() {
    const isLeader = async ({ restPort }) => {
      const url = `http://127.0.0.1:${restPort}/primary`;
      const answer = await globalThis.fetch(url, { signal: globalThis.AbortSignal.timeout(1_000) });
      if (!answer.ok) throw new Error(await answer.text());
    };
    return until('a leader', () => Promise.any(this.nodes.map((node) => isLeader(node).then(() => node))));
  }

  async synchronousStandby() {
    const standby = (await this.members()).find(({ role }) => role === 'sync_standby');
    return this.nodes.find(({ name }) => name === standby?.name);
  }

  /** Resolves when there is a leader with a synchronous and another standby that stream from it. */
  untilWhole() {
    const isSynchronous = this.#settings.synchronous_mode;
    return until(
      'a leader with two standbys',
      async () => {
        const members = await this.members();
        const standbys = members.filter(({ state }) => state === 'streaming');
        const leads = members.some(({ role, state }) => role === 'leader' && state === 'running');
        return (
          leads &&
          standbys.length === 2 &&
          (!isSynchronous || standbys.some(({ role }) => role === 'sync_standby'))
        );
      },
      90_000,
    );
  }

  /** `patronictl switchover`: the leader hands over to the synchronous standby. */
  async switchOver() {
    const leader = await this.leader();
    const words = ['switchover', 'postern', '--leader', leader.name, '--force'];
    const program = 'import sys; from patroni.ctl import ctl; sys.exit(ctl())';
    const config = ['-c', join(this.#folder, `${leader.name}.yml`)];
    const { ended } = this.#spawn('patronictl', PYTHON, ['-c', program, ...config, ...words]);
    const [exitCode] = await ended;
    if (exitCode !== 0) throw new Error(`patronictl switchover: ${this.log('patronictl')}`);
  }

  /** `DATABASE_URL` with all three hosts. */
  url(database = 'postern') {
    const hosts = this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',');
    return `postgres://${USER}@${hosts}/${database}?target_session_attrs=read-write`;
  }

  /** Runs a statement on one node, on a connection of its own. */
  async query({ port }, sql, values = [], database = 'postern') {
    const client = new pg.Client({
      ...{ host: '127.0.0.1', port, user: USER, database },
      ...{ connectionTimeoutMillis: 10_000, query_timeout: 10_000 },
    });
    client.on('error', () => undefined);
    try {
      await client.connect();
      return (await client.query(sql, values)).rows;
    } finally {
      void client.end().catch(() => undefined);
      client.connection.stream.destroy();
    }
  }

  async remove() {
    for (const node of this.nodes) {
      this.signalNode(node, 'SIGKILL');
      await node.patroni?.ended;
      await node.toStandbys?.close();
      await node.toEtcd?.close();
    }
    if (this.#etcd) await this.killEtcd();
    await until('all of PostgreSQL has ended', () => {
      try {
        rmSync(this.#folder, { recursive: true, force: true });
        return true;
      } catch {
        return false;
      }
    });
  }
}

function chownTree(path) {
  lchownSync(path, NOBODY, NOBODY);
  for (const entry of readdirSync(path, { recursive: true })) lchownSync(join(path, entry), NOBODY, NOBODY);
}
