import * as grpc from '@grpc/grpc-js';
import pino from 'pino';

import { startSidecar } from '../../src/compose/sidecar/sidecar.ts';
import { loadSettings } from '../../src/config/load-settings.ts';
import { formatListenAddress } from '../../src/net/listen-address.ts';
import { logOptions } from '../../src/observability/log.ts';
import type { Callee } from './account.ts';
import { anyPorts } from './service-environment.ts';
import { invoke, type Message, type Outcome } from './test-service.ts';

/** A relay in this process. */
export interface TestRelay extends Callee {
  readonly grpcAddress: string;
  readonly logLines: string[];
  call(method: string, request: Message, metadata?: grpc.Metadata): Promise<Outcome>;
  /** The HTTP status of a path. */
  probe(path: string): Promise<number>;
  metrics(): Promise<string>;
  stop(): Promise<void>;
}

/** @param upstreams `tokens` is the service */
export async function startTestRelay(
  upstreams: { readonly trust: string; readonly tokens: string },
  environment: Readonly<Record<string, string>>,
): Promise<TestRelay> {
  const settings = loadSettings({ ...anyPorts, POSTERN_RELAY: 'on', ...environment }, { for: 'sidecar' });
  const logLines: string[] = [];
  const log = pino(logOptions('debug'), { write: (line) => void logLines.push(line) });
  const relay = await startSidecar(settings, upstreams, log, () => 0);
  const grpcAddress = formatListenAddress(relay.grpc);
  const httpUrl = `http://${formatListenAddress(relay.http)}`;
  const client = new grpc.Client(grpcAddress, grpc.credentials.createInsecure());
  return {
    grpcAddress,
    logLines,
    call: (method, request, metadata = new grpc.Metadata()) => invoke(client, method, request, metadata),
    probe: async (path) => (await fetch(httpUrl + path)).status,
    metrics: async () => (await fetch(`${httpUrl}/metrics`)).text(),
    async stop() {
      client.close();
      await relay.stop();
    },
  };
}
