// The fixture of the service benchmarks: a PostgreSQL in a temporary folder, and built services in processes of their own.
// Needs `npm run build`.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath, URL } from 'node:url';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import pg from 'pg';
import { budgetOf, ownOrigin } from '../dist/domain/operation-call.js';
import { masterKeyOf } from '../dist/crypto/sealed-envelope.js';
import { SecretDigests } from '../dist/crypto/keyed-digests.js';
import { ErrorInfo, RetryInfo } from '../dist/generated/google/rpc/error_details.js';
import { Status } from '../dist/generated/google/rpc/status.js';
import { createServiceAccount } from '../dist/features/service-accounts/create-service-account.js';
import { createUser } from '../dist/features/users/create-user.js';
import { RootKey } from '../dist/features/root-key/root-key.js';
import { PasswordHasher } from '../dist/passwords/password-hasher.js';
import { Database } from '../dist/database/database.js';
import { openEmbeddedPostgres } from '../dist/database/embedded/open-embedded-postgres.js';
import { migrate } from '../dist/database/migrate.js';

const bin = fileURLToPath(new URL('../dist/command/postern.js', import.meta.url));
const protoDir = fileURLToPath(new URL('../proto', import.meta.url));
const contract = loadSync(
  ['postern/v1/auth.proto', 'postern/v1/admin.proto', 'grpc/health/v1/health.proto'],
  {
    includeDirs: [protoDir, join(protoDir, 'vendor')],
    keepCase: true,
    enums: String,
    defaults: true,
  },
);
export const masterKey = randomBytes(32).toString('base64');

export const password = 'correct horse battery';

/** Opens a migrated database in a cluster of its own. `stop` removes everything. */
export async function openBenchService() {
  const dataDir = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  const embedded = await openEmbeddedPostgres({ dataDir, ownerKind: 'service', report: () => undefined });
  const { host, user, port, database } = embedded.connection;
  const db = new Database({
    address: embedded.connection,
    applicationName: 'bench',
    maxConnections: 4,
    warn: () => undefined,
  });
  await migrate(db);
  const urlOf = (name) => `postgres://${user}@localhost:${port}/${name}?host=${encodeURIComponent(host)}`;
  const services = [];
  // When the benchmark is stopped early, stop its services as well. PostgreSQL ends with this process.
  process.once('SIGTERM', () => {
    for (const { child } of services) child.kill('SIGKILL');
    process.exit(143);
  });
  return {
    dataDir,
    embedded,
    database: db,
    socket: join(host, `.s.PGSQL.${port}`),
    url: urlOf(database),
    urlThrough: (localPort) => `postgres://${user}@127.0.0.1:${localPort}/${database}`,
    /** @param within another database of the cluster, as created by `copy` */
    async query(sql, values = [], within = database) {
      const client = new pg.Client({ ...embedded.connection, database: within });
      client.on('error', () => undefined);
      await client.connect();
      const { rows } = await client.query(sql, values).finally(() => client.end().catch(() => undefined));
      return rows;
    },
    /** Copies the database under a new name, while no service may run. Resolves to the URL of the copy. */
    async copy(name) {
      const disconnect = 'SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = $1';
      await this.query(disconnect, [database], 'postgres');
      await this.query(`CREATE DATABASE "${name}" TEMPLATE "${database}"`, [], 'postgres');
      return urlOf(name);
    },
    addUser: (email, roles) => addUser(db, email, roles),
    addServiceAccount: (name) => addServiceAccount(db, name),
    async serve(environment = {}, url = this.url) {
      const service = await startService({ DATABASE_URL: url, ...environment });
      services.push(service);
      return service;
    },
    /** Starts a sidecar of a service. It answers VerifyToken as a service does. */
    async sidecar({ address }, credential) {
      const sidecar = await startSidecar(address, credential);
      services.push(sidecar);
      return sidecar;
    },
    async stop() {
      await Promise.all(services.map((service) => service.stop()));
      await db.close();
      await embedded.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

export async function addUser(database, email, roles = []) {
  const hasher = await PasswordHasher.start({ concurrency: 1 });
  const passwords = { hasher, policy: { minLength: 12 } };
  const user = { email, password, roles, actor: { type: 'operator', id: null } };
  const call = { ...budgetOf(10_000, Date.now()), origin: ownOrigin };
  await createUser({ database, passwords }, user, call);
  await hasher.stop();
}

/** Creates a service account, which may call WatchTrust. */
export async function addServiceAccount(database, name) {
  const root = new RootKey();
  await root.prepare(database, [masterKeyOf(Buffer.from(masterKey, 'base64'))]);
  const tools = {
    database,
    digests: new SecretDigests((purpose) => root.derive(purpose)),
    trust: null,
    audiences: { configured: ['postern'] },
  };
  const input = { name, roles: [], actor: { type: 'operator', id: null } };
  const call = { ...budgetOf(10_000, Date.now()), origin: ownOrigin };
  const { account, clientSecret } = await createServiceAccount(tools, input, call);
  return { clientId: account.id, clientSecret: clientSecret.reveal() };
}

export const startSidecar = (upstream, { clientId, clientSecret }) =>
  startProcess(['sidecar', '--upstream', upstream], {
    POSTERN_CLIENT_ID: clientId,
    POSTERN_CLIENT_SECRET: clientSecret,
  });

/** Resolves when the service is ready. */
export const startService = (environment) =>
  startProcess(['serve'], {
    POSTERN_MASTER_KEY: masterKey,
    POSTERN_SESSIONS_PER_USER: '10000',
    ...environment,
  });

async function startProcess(words, environment) {
  const child = spawn(process.execPath, [bin, ...words], {
    stdio: ['ignore', 'pipe', 'ignore'],
    env: {
      PATH: process.env.PATH,
      POSTERN_GRPC_LISTEN: '127.0.0.1:0',
      POSTERN_HTTP_LISTEN: '127.0.0.1:0',
      ...environment,
    },
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const line = await Promise.race([
    new Promise((resolve) => child.stdout.once('data', (text) => resolve(String(text)))),
    ended.then(() => {
      throw new Error(`${words[0]} exited before it listened`);
    }),
  ]);
  const { grpc: address, http, pid } = JSON.parse(line);
  const client = new grpc.Client(address, grpc.credentials.createInsecure());
  const probe = (path) =>
    globalThis.fetch(`http://${http}${path}`).then(
      ({ status }) => status,
      () => 0,
    );
  while ((await probe('/readyz')) !== 200) await pause(20);
  return {
    pid,
    address,
    httpUrl: `http://${http}`,
    child,
    probe,
    /** @param method one of AuthService, or with the name of another service before it, as in `AdminService/GetUser` */
    call: (method, request, token = '') =>
      invoke(client, `postern.v1.${method.includes('/') ? method : `AuthService/${method}`}`, request, token),
    async stop() {
      client.close();
      child.kill('SIGTERM');
      await ended;
    },
    async kill() {
      client.close();
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/**
 * Makes one unary call. Resolves to `verdict`: 'OK', a reason, or the name of a status code; to `response` if there is one;
 * and for a refusal to `retry`: whether it has a retry delay.
 */
function invoke(client, method, request, token) {
  const [service, name] = method.split('/');
  const { path, requestSerialize, responseDeserialize } = contract[service][name];
  const options = { deadline: Date.now() + 10_000 };
  return new Promise((resolve) => {
    const onResponse = (error, response) => {
      if (error)
        resolve({
          verdict: reasonOf(error) ?? grpc.status[error.code],
          detail: error.details,
          retry: hasRetryInfo(error),
        });
      else resolve({ verdict: 'OK', response });
    };
    const metadata = new grpc.Metadata();
    if (token !== '') metadata.set('authorization', `Bearer ${token}`);
    try {
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        metadata,
        options,
        onResponse,
      );
    } catch {
      // The process was killed and the client closed.
      resolve({ verdict: 'CANCELLED', retry: false });
    }
  });
}

function detailOf({ metadata }, type) {
  const [bytes] = metadata.get('grpc-status-details-bin');
  return bytes && Status.decode(bytes).details.find(({ typeUrl }) => typeUrl.endsWith(type))?.value;
}

function reasonOf(error) {
  const info = detailOf(error, 'google.rpc.ErrorInfo');
  return info && ErrorInfo.decode(info).reason;
}

function hasRetryInfo(error) {
  const info = detailOf(error, 'google.rpc.RetryInfo');
  if (info === undefined) return false;
  const { seconds = 0, nanos = 0 } = RetryInfo.decode(info).retryDelay ?? {};
  return Number(seconds) > 0 || nanos > 0;
}

/** The value below which the given share of the sorted values lie. */
export function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}
