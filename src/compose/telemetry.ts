import type { Settings } from '../config/load-settings.ts';
import { otlpGrpcTransport } from '../grpc/otlp-transport.ts';
import type { Logger } from '../observability/log.ts';
import { ExportFailures } from '../observability/otlp/export-failures.ts';
import { openTelemetry } from '../observability/otlp/open-telemetry.ts';
import { deduplicatedWarning } from './deduplicated-warning.ts';
import { posternVersion } from './runtime-versions.ts';

/** Starts what is sent to a collector, and what counts and logs the exports that fail. */
export async function composeTelemetry({ telemetry: settings }: Settings, log: Logger, instanceId: string) {
  const failures = new ExportFailures(settings, deduplicatedWarning(log, 'telemetry-export-failed'));
  const identity = { version: posternVersion(), instanceId };
  const telemetry = await openTelemetry(settings, identity, {
    grpcTransport: otlpGrpcTransport,
    onFailure: failures.record,
  });
  return { telemetry, failures };
}
