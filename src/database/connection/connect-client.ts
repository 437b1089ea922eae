import type { Socket } from 'node:net';

import { Client, type ClientConfig } from 'pg';

import type { SslMode } from '../../net/database-url.ts';
import type { DatabaseServer } from './database-address.ts';
import { markConnectFailure } from './connect-failure.ts';
import { type Encryption, isTlsFault, openSocket, TlsUnsupported } from './open-socket.ts';
import { sqlState } from '../pg-errors.ts';
import { pinSession } from './session-settings.ts';

export interface ConnectOptions {
  /** Of the whole attempt, with TLS and logging in, ms. */
  readonly limitMs: number;
  readonly applicationName?: string;
  /** Settings of the session, in addition to those of every session. */
  readonly session?: Readonly<Record<string, string>>;
  /** Called with each client before it connects, to add listeners. An exception ends the attempt. */
  readonly prepare?: (client: Client) => void;
}

type Watch = (socket: Socket) => void;
type Attempt =
  | { readonly client: Client }
  | { readonly client?: never; readonly error: unknown; readonly isEncrypted: boolean };

/** The class of SQLSTATE that wrong credentials and `pg_hba.conf` have. */
const ACCESS_DENIED = /^28/;

/**
 * Connects to one server, encrypted as `sslmode` says, and pins the settings of the session.
 *
 * @throws the error of the network, of TLS or of the server
 */
export async function connectClient(server: DatabaseServer, options: ConnectOptions): Promise<Client> {
  let current: Socket | undefined;
  let isLate = false;
  const destroyLate = () => isLate && current?.destroy(new Error('timeout expired'));
  const timer = setTimeout(() => {
    isLate = true;
    destroyLate();
  }, options.limitMs);
  try {
    return await connectByMode(server, options, (socket) => {
      current = socket;
      destroyLate();
    });
  } finally {
    clearTimeout(timer);
  }
}

/** `allow` and `prefer` make a second attempt as libpq does: when the server denies access, or TLS fails. */
async function connectByMode(server: DatabaseServer, options: ConnectOptions, watch: Watch): Promise<Client> {
  const mode = server.tls?.mode ?? 'disable';
  const attempt = await attemptOnce(server, firstEncryption(mode), options, watch);
  if (attempt.client) return attempt.client;
  const { error, isEncrypted } = attempt;
  const isAccessDenied = ACCESS_DENIED.test(sqlState(error) ?? '');
  const mayHelp =
    (mode === 'allow' && isAccessDenied) ||
    (mode === 'prefer' && (isTlsFault(error) || (isEncrypted && isAccessDenied)));
  if (!mayHelp) throw error;
  const second = await attemptOnce(server, mode === 'allow' ? 'required' : 'none', options, watch);
  if (second.client) return second.client;
  throw second.error instanceof TlsUnsupported
    ? error
    : new AggregateError([error, second.error], `${String(error)}; ${String(second.error)}`);
}

function firstEncryption(mode: SslMode): Encryption {
  if (mode === 'disable' || mode === 'allow') return 'none';
  return mode === 'prefer' ? 'if-offered' : 'required';
}

async function attemptOnce(
  server: DatabaseServer,
  encryption: Encryption,
  options: ConnectOptions,
  watch: Watch,
): Promise<Attempt> {
  let isEncrypted = false;
  try {
    const opened = await openSocket(server, encryption, watch);
    isEncrypted = opened.isEncrypted;
    return { client: await logIn(opened.socket, server.config, options) };
  } catch (error) {
    markConnectFailure(error);
    return { error, isEncrypted };
  }
}

async function logIn(socket: Socket, config: ClientConfig, options: ConnectOptions): Promise<Client> {
  try {
    const client = new Client({
      application_name: options.applicationName,
      ...config,
      keepAlive: true,
      // The socket is encrypted already; the driver must not read PGSSLMODE and PGSSLNEGOTIATION.
      ssl: false,
      ...{ sslnegotiation: 'postgres' },
      stream: () => asNewSocket(socket),
    });
    // Without a listener an `error` event would end the process.
    client.on('error', () => undefined);
    options.prepare?.(client);
    await client.connect();
    await pinSession(client, options.session);
    return client;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** The driver connects its stream itself; this one is connected. */
function asNewSocket(socket: Socket): Socket {
  return Object.assign(socket, {
    connect: () => {
      process.nextTick(() => socket.emit('connect'));
      return socket;
    },
  });
}
