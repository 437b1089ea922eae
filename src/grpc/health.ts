import type { Server } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';

/** What a service needs to serve: all that the process needs, or only something to verify with (decision 9). */
export type HealthGroup = 'everything' | 'verification';

/** The names that `grpc.health.v1` knows; the empty one is the whole process. */
export type HealthNames = Readonly<Record<HealthGroup, readonly string[]>>;

/** The standard health service. Everything is NOT_SERVING until somebody says that it serves. */
export class Health {
  readonly #names: HealthNames;
  readonly #implementation: HealthImplementation;
  readonly #told: Record<HealthGroup, boolean> = { everything: false, verification: false };
  #stopped = false;

  constructor(names: HealthNames) {
    this.#names = names;
    const all = [...names.everything, ...names.verification];
    this.#implementation = new HealthImplementation(
      Object.fromEntries(all.map((name) => [name, 'NOT_SERVING' as const])),
    );
  }

  set(group: HealthGroup, serving: boolean): void {
    if (this.#stopped || this.#told[group] === serving) return;
    this.#told[group] = serving;
    for (const name of this.#names[group])
      this.#implementation.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  /** NOT_SERVING from now on. */
  stop(): void {
    this.set('everything', false);
    this.set('verification', false);
    this.#stopped = true;
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }
}
