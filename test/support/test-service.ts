import { fileURLToPath } from 'node:url';

import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import pino from 'pino';

import { startService } from '../../src/compose/service.ts';
import { loadSettings } from '../../src/config/load-settings.ts';
import { formatListenAddress, type ListenAddress } from '../../src/net/listen-address.ts';
import { ErrorInfo } from '../../src/generated/google/rpc/error_details.ts';
import { Status } from '../../src/generated/google/rpc/status.ts';
import { logOptions } from '../../src/observability/log.ts';
import { createUser } from '../../src/features/users/create-user.ts';
import { loadCommonPasswords } from '../../src/passwords/common-passwords.ts';
import { argon2idHash } from '../../src/passwords/hashing/argon2id.ts';
import type { PasswordHasher } from '../../src/passwords/password-hasher.ts';
import { normalisePassword } from '../../src/passwords/password-policy.ts';
import type { ServerTls } from '../../src/net/tls/server-tls.ts';
import { testCall } from './test-call.ts';
import { createTestDatabase, type TestDatabase } from './test-database.ts';
import { masterKey, serviceEnvironment } from './service-environment.ts';

const protoDir = fileURLToPath(new URL('../../proto', import.meta.url));
const packageDefinition = loadSync(
  [
    'postern/v1/auth.proto',
    'postern/v1/trust.proto',
    'postern/v1/admin.proto',
    'grpc/health/v1/health.proto',
    'envoy/service/auth/v3/external_auth.proto',
  ],
  {
    includeDirs: [protoDir, `${protoDir}/vendor`],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
  },
);

/** The services of the contract, called from the proto files alone, as an independent client would. */
export type Message = Record<string, unknown>;

export interface Outcome {
  readonly code: grpc.status;
  readonly message: string;
  readonly reason: string | undefined;
  readonly trailers: grpc.Metadata;
  readonly response: Message | undefined;
}

export interface TestService {
  readonly database: TestDatabase;
  readonly grpcAddress: string;
  readonly httpUrl: string;
  /** Null without POSTERN_ADMIN_LISTEN. */
  readonly adminAddress: string | null;
  /** Null without POSTERN_CONSOLE_LISTEN. */
  readonly consoleUrl: string | null;
  readonly logLines: string[];
  /** Null in plaintext. */
  readonly tls: ServerTls | null;
  call(
    method: string,
    request: Message,
    metadata?: Record<string, string>,
    options?: grpc.CallOptions,
  ): Promise<Outcome>;
  addUser(email: string, password: string, roles?: string[]): Promise<string>;
  /** Logs in and returns the access token, for the default audience unless another is given. */
  tokenOf(email: string, password: string, audience?: string): Promise<string>;
  stop(): Promise<void>;
}

/** Longer than the server needs on a busy machine; the server has a limit of its own. */
export const CALL_LIMIT_MS = 120_000;

export { masterKey };

/**
 * Starts the real service on ports of its own, with a database of its own unless one is given.
 *
 * @param credentials with which `call` connects
 */
export async function startTestService(
  environment: Record<string, string> = {},
  shared?: TestDatabase,
  credentials = grpc.credentials.createInsecure(),
): Promise<TestService> {
  const database = shared ?? (await createTestDatabase());
  const settings = loadSettings({
    ...serviceEnvironment(database.url),
    POSTERN_REFLECTION: 'on',
    POSTERN_HASH_CONCURRENCY: '1',
    ...environment,
  });
  const logLines: string[] = [];
  const log = pino(logOptions('debug'), { write: (line) => void logLines.push(line) });
  const onFatal = (error: unknown) => {
    throw error;
  };
  const service = await startService(settings, log, onFatal, () => 0);
  const grpcAddress = formatListenAddress(service.grpc);
  const client = new grpc.Client(grpcAddress, credentials);
  const urlOf = (address: ListenAddress) =>
    `${service.tls ? 'https' : 'http'}://${formatListenAddress(address)}`;

  const call: TestService['call'] = (method, request, metadata = {}, options = {}) => {
    const headers = new grpc.Metadata();
    for (const [name, value] of Object.entries(metadata)) headers.set(name, value);
    return invoke(client, method, request, headers, options);
  };
  return {
    database,
    grpcAddress,
    adminAddress: service.admin && formatListenAddress(service.admin),
    httpUrl: urlOf(service.http),
    consoleUrl: service.console && urlOf(service.console),
    logLines,
    tls: service.tls,
    call,
    addUser: (email, password, roles) => addUser(database, email, password, roles),
    async tokenOf(email, password, audience = '') {
      const { response, message } = await call('postern.v1.AuthService/Login', { email, password, audience });
      if (!response) throw new Error(`login failed: ${message}`);
      return String(response['access_token']);
    },
    async stop() {
      client.close();
      await service.stop();
      if (!shared) await database.drop();
    },
  };
}

/** Makes a user directly in the database, as `postern user create` does. @returns the user's id */
export async function addUser(
  { database }: TestDatabase,
  email: string,
  password: string,
  roles: string[] = [],
): Promise<string> {
  const passwords = { hasher: hasherOfThisThread, policy: { minLength: 12 } };
  const actor = { type: 'operator', id: null } as const;
  const user = await createUser({ database, passwords }, { email, password, roles, actor }, testCall());
  return user.id;
}

let common: ReturnType<typeof loadCommonPasswords> | undefined;
/** Makes the same hashes as the hashing threads, whose start would take longer than making a user. */
const hasherOfThisThread = {
  hash: (password: string) => Promise.resolve(argon2idHash(normalisePassword(password))),
  commonPasswords: () => (common ??= loadCommonPasswords()),
} as unknown as PasswordHasher;

/** One unary call by name; resolves with the outcome, success or failure. */
export function invoke(
  client: grpc.Client,
  method: string,
  request: Message,
  metadata = new grpc.Metadata(),
  options: grpc.CallOptions = {},
): Promise<Outcome> {
  const definition = methodOf(method);
  return new Promise((resolve) => {
    const call = client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      metadata,
      { deadline: Date.now() + CALL_LIMIT_MS, ...options },
      (error, response) => {
        const done = (trailers: grpc.Metadata) =>
          resolve({
            code: error?.code ?? grpc.status.OK,
            message: error?.details ?? '',
            reason: reasonOf(trailers),
            trailers,
            response: response as Message | undefined,
          });
        if (error) done(error.metadata);
        else call.once('status', (status) => done(status.metadata));
      },
    );
  });
}

/** A method of the contract as `package.Service/Method`, for streams. */
export function methodOf(method: string): grpc.MethodDefinition<object, object> {
  const [serviceName = '', methodName = ''] = method.split('/');
  const service = packageDefinition[serviceName] as grpc.ServiceDefinition | undefined;
  const definition = service?.[methodName];
  if (!definition) throw new Error(`the proto files have no ${method}`);
  return definition as grpc.MethodDefinition<object, object>;
}

/** The ErrorInfo reason in a status's details, checked to be Postern's. */
export function reasonOf(trailers: grpc.Metadata): string | undefined {
  const [bytes] = trailers.get('grpc-status-details-bin');
  if (!(bytes instanceof Buffer)) return undefined;
  const info = Status.decode(bytes).details.find(({ typeUrl }) => typeUrl.endsWith('google.rpc.ErrorInfo'));
  if (!info) return undefined;
  const { domain, reason } = ErrorInfo.decode(info.value);
  return domain === 'postern' ? reason : `not from postern: ${domain}`;
}
