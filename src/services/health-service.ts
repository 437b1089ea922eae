import { Rejected } from '../domain/rejection.ts';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  type HealthService,
} from '../generated/grpc/health/v1/health.ts';
import type { Call } from '../rpc/call.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';

/** What a service needs to serve: all that the process needs, or only something to verify with. */
export type HealthGroup = 'everything' | 'verification';

/** The names that `grpc.health.v1` knows; the empty one is the whole process. */
export type HealthNames = Readonly<Record<HealthGroup, readonly string[]>>;

/** The standard health service. Everything is NOT_SERVING until somebody says that it serves. */
export class Health {
  readonly #groupOf: ReadonlyMap<string, HealthGroup>;
  readonly #serving: Record<HealthGroup, boolean> = { everything: false, verification: false };
  readonly #changeCallbacks = new Set<() => void>();
  #stopped = false;

  constructor(names: HealthNames) {
    const groups = ['everything', 'verification'] as const;
    this.#groupOf = new Map(groups.flatMap((group) => names[group].map((name) => [name, group] as const)));
  }

  set(group: HealthGroup, serving: boolean): void {
    if (this.#stopped || this.#serving[group] === serving) return;
    this.#serving[group] = serving;
    for (const notify of [...this.#changeCallbacks]) notify();
  }

  /** NOT_SERVING from now on. */
  stop(): void {
    this.set('everything', false);
    this.set('verification', false);
    this.#stopped = true;
  }

  handlers(): ServiceHandlers<typeof HealthService> {
    return {
      check: ({ service }) => {
        const response = this.#statusOf(service);
        if (!response) throw new Rejected({ kind: 'not-found', resource: 'service' });
        return response;
      },
      list: () => ({
        statuses: Object.fromEntries(
          [...this.#groupOf].map(([name, group]) => [name, responseOf(this.#serving[group])]),
        ),
      }),
      watch: (request, call) => this.#watch(request, call),
    };
  }

  #statusOf(name: string): HealthCheckResponse | null {
    const group = this.#groupOf.get(name);
    return group === undefined ? null : responseOf(this.#serving[group]);
  }

  /** A reader that was busy while the status changed back and forth is told of the last one only. */
  async *#watch(
    { service }: HealthCheckRequest,
    call: Pick<Call, 'signal'>,
  ): AsyncGenerator<HealthCheckResponse, void, undefined> {
    for (let lastSent: HealthCheckResponse['status'] | null = null; !call.signal.aborted;) {
      const response = this.#statusOf(service) ?? { status: ServingStatus.SERVICE_UNKNOWN };
      if (response.status === lastSent) await this.#nextChange(call.signal);
      else yield response;
      lastSent = response.status;
    }
  }

  /** Resolves at the next change, or when the watcher goes. */
  #nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const notify = () => {
        this.#changeCallbacks.delete(notify);
        signal.removeEventListener('abort', notify);
        resolve();
      };
      this.#changeCallbacks.add(notify);
      signal.addEventListener('abort', notify, { once: true });
    });
  }
}

function responseOf(serving: boolean): HealthCheckResponse {
  return { status: serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING };
}
