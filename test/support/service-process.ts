import * as grpc from '@grpc/grpc-js';

import type { Callee } from './account.ts';
import { until } from './wait-for.ts';
import { type PosternOptions, type RunningPostern, startPostern } from './run-postern.ts';
import { invoke } from './test-service.ts';
import { serviceEnvironment } from './service-environment.ts';

/** The built service in a process of its own. */
export interface ServiceProcess extends Callee {
  readonly pid: number;
  readonly httpUrl: string;
  readonly grpcAddress: string;
  readonly running: RunningPostern;
  /** The HTTP status of a path; 0 when there is no answer. */
  probe(path: string): Promise<number>;
  stop(): Promise<void>;
}

/** Starts `postern serve` on ports of its own. @param clockShiftMs the error of its machine's clock */
export async function startServiceProcess(
  databaseUrl: string,
  environment: Readonly<Record<string, string>> = {},
  clockShiftMs = 0,
  options: Pick<PosternOptions, 'stderr'> = {},
): Promise<ServiceProcess> {
  const shifted = new URL('./shifted-clock.mjs', import.meta.url).href;
  const running = startPostern(['serve'], {
    ...options,
    environment: {
      ...serviceEnvironment(databaseUrl),
      POSTERN_HASH_CONCURRENCY: '1',
      ...(clockShiftMs !== 0 && {
        NODE_OPTIONS: `--import=${shifted}`,
        CLOCK_SHIFT_MS: String(clockShiftMs),
      }),
      ...environment,
    },
  });
  const { grpc: grpcAddress, http, pid } = await running.listening;
  const client = new grpc.Client(grpcAddress, grpc.credentials.createInsecure());
  const httpUrl = `http://${http}`;
  return {
    pid,
    grpcAddress,
    httpUrl,
    running,
    call: (method, request) => invoke(client, method, request),
    async probe(path) {
      try {
        return (await fetch(httpUrl + path)).status;
      } catch {
        return 0;
      }
    },
    async stop() {
      client.close();
      running.kill('SIGTERM');
      await running.end;
    },
  };
}

/** Resolves when the service reports that it is ready. @returns the duration in milliseconds */
export function untilReady(service: ServiceProcess): Promise<number> {
  return until(async () => (await service.probe('/readyz')) === 200, 'the service is ready');
}
