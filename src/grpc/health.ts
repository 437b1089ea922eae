import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

/** Services whose readiness `grpc.health.v1` tells; the empty name is the whole process. */
const SERVICES = ['', 'postern.v1.AuthService', 'postern.v1.TrustService'] as const;

/** The standard health service. Everything is NOT_SERVING until somebody says that it serves. */
export class Health {
  readonly #implementation = new HealthImplementation(
    Object.fromEntries(SERVICES.map((name) => [name, 'NOT_SERVING' as const])),
  );

  setServing(serving: boolean): void {
    for (const name of SERVICES) this.#implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }
}
