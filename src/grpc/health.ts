import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

/** Services whose readiness `grpc.health.v1` tells; the empty name is the whole process. */
const SERVICES = ['', 'postern.v1.AuthService'] as const;
/** Goes on from memory while the database is away (decision 9), so that Envoy does not turn away from it. */
const AUTHORIZATION = 'envoy.service.auth.v3.Authorization';

/** The standard health service. Everything is NOT_SERVING until somebody says that it serves. */
export class Health {
  readonly #implementation = new HealthImplementation(
    Object.fromEntries([...SERVICES, AUTHORIZATION].map((name) => [name, 'NOT_SERVING' as const])),
  );

  /** @param serving whether the database answers; the first time it does, there are keys as well */
  setServing(serving: boolean): void {
    for (const name of SERVICES) this.#implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    if (serving) this.#implementation.setStatus(AUTHORIZATION, 'SERVING');
  }

  stop(): void {
    this.setServing(false);
    this.#implementation.setStatus(AUTHORIZATION, 'NOT_SERVING');
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }
}
