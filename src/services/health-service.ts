import { Rejected } from '../domain/rejection.ts';
import {
  type HealthCheckRequest,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
  type HealthService,
} from '../generated/grpc/health/v1/health.ts';
import type { Call } from '../rpc/call.ts';
import type { ServiceHandlers } from '../rpc/handlers.ts';

/** The condition under which a service is SERVING: the process can serve all of its methods, or it can verify tokens. */
export type HealthGroup = 'processReady' | 'verificationReady';

/** The service names that `grpc.health.v1` knows, by group. The empty name is the whole process. */
export type HealthNames = Readonly<Record<HealthGroup, readonly string[]>>;

/** The standard health service (`grpc.health.v1`). Every service is NOT_SERVING until `set` changes that. */
export class Health {
  readonly #groupOf: ReadonlyMap<string, HealthGroup>;
  readonly #serving: Record<HealthGroup, boolean> = { processReady: false, verificationReady: false };
  readonly #changeCallbacks = new Set<() => void>();
  #stopped = false;

  constructor(names: HealthNames) {
    const groups = ['processReady', 'verificationReady'] as const;
    this.#groupOf = new Map(groups.flatMap((group) => names[group].map((name) => [name, group] as const)));
  }

  set(group: HealthGroup, serving: boolean): void {
    if (this.#stopped || this.#serving[group] === serving) return;
    this.#serving[group] = serving;
    for (const notify of [...this.#changeCallbacks]) notify();
  }

  /** Every service is NOT_SERVING from now on; later calls of `set` have no effect. */
  stop(): void {
    this.set('processReady', false);
    this.set('verificationReady', false);
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

  /** Streams the status. A slow reader gets only the latest status, not each change between. */
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

  /** Resolves at the next change of any status, or when the call ends. */
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
