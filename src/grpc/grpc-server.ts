import { Server, ServerCredentials } from '@grpc/grpc-js';

import type { ClaimsPolicy } from '../domain/claims.ts';
import type { ListenAddress } from '../domain/listen-address.ts';
import { AuthServiceService } from '../generated/postern/v1/auth.ts';
import { TrustServiceService } from '../generated/postern/v1/trust.ts';
import type { TrustBundle } from '../trust/trust-bundle.ts';
import { type AuthOperations, authService } from './auth-service.ts';
import type { Authenticate } from './authenticate.ts';
import { callBoundary, type FinishedCall } from './call-boundary.ts';
import { Health } from './health.ts';
import { connectionLimits } from './limits.ts';
import { addReflection } from './reflection.ts';
import { clearStaleSocket } from './stale-socket.ts';
import { foreignServices, serveMethods } from './serve-methods.ts';
import { trustService } from './trust-service.ts';

/** The gRPC listener: every service of `method-table.ts` behind one call boundary. */
export class GrpcServer {
  readonly #server: Server;
  readonly #health = new Health();
  readonly #openStreams = new Set<() => void>();
  #stopping = false;

  constructor(options: {
    operations: AuthOperations;
    /** What watchers are told. */
    trust: { readonly bundle: TrustBundle; readonly policy: ClaimsPolicy };
    authenticate: Authenticate;
    reflection: boolean;
    onFinish: (call: FinishedCall) => void;
  }) {
    const boundary = callBoundary({
      isStopping: () => this.#stopping,
      openStreams: this.#openStreams,
      onFinish: options.onFinish,
    });
    this.#server = new Server({ ...connectionLimits, interceptors: [boundary] });
    serveMethods(this.#server, AuthServiceService, options.authenticate, authService(options.operations));
    const { bundle, policy } = options.trust;
    serveMethods(this.#server, TrustServiceService, options.authenticate, trustService(bundle, policy));
    const foreign = foreignServices(this.#server);
    this.#health.addTo(foreign);
    if (options.reflection) addReflection(foreign);
  }

  /** @returns the address that was bound, with the port that the system chose */
  async listen(address: ListenAddress): Promise<ListenAddress> {
    if (address.kind === 'unix') await clearStaleSocket(address.path);
    const target = address.kind === 'unix' ? `unix:${address.path}` : hostAndPort(address.host, address.port);
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(target, ServerCredentials.createInsecure(), (error, port) => {
        if (error) reject(error);
        else resolve(address.kind === 'unix' ? address : { ...address, port });
      });
    });
  }

  setServing(serving: boolean): void {
    this.#health.setServing(serving && !this.#stopping);
  }

  /**
   * Health turns NOT_SERVING, new calls are refused, streams end at once, running calls may end within `graceMs`; then
   * all is closed.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    this.#health.setServing(false);
    for (const end of [...this.#openStreams]) end();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.#server.forceShutdown(), graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
