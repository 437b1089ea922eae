import type { Settings } from '../../config/load-settings.ts';
import type { Signal } from '../../config/telemetry/telemetry-settings.ts';
import { otlpGrpcTransport } from '../../grpc/otlp-transport.ts';
import { reasonOf } from '../../observability/otlp/export-failures.ts';
import { openTelemetry } from '../../observability/otlp/open-telemetry.ts';
import { faultOf, type Finding } from './finding.ts';

/** Checks that the packages load, and that the collector takes an empty request. Without it the service runs as well. */
export async function telemetryFindings({ telemetry: settings }: Settings): Promise<Finding[]> {
  if (settings === null) return [];
  const findings: Finding[] = [];
  try {
    const telemetry = await openTelemetry(
      settings,
      { version: '', instanceId: 'doctor' },
      { grpcTransport: otlpGrpcTransport, onFailure: () => undefined },
    );
    for (const signal of ['traces', 'metrics'] as const)
      if (settings[signal])
        findings.push(await findingOf(signal, settings[signal].url, telemetry?.probe(signal)));
    await telemetry?.stop();
  } catch (error) {
    return [faultOf('tracing', error)];
  }
  return findings;
}

async function findingOf(signal: Signal, url: string, probe: Promise<unknown> | undefined): Promise<Finding> {
  const failure = await probe;
  if (failure === undefined) return { check: 'tracing', verdict: 'ok', message: `${signal} go to ${url}` };
  return {
    check: 'tracing',
    verdict: 'warning',
    message: `${signal} cannot be sent to ${url}: ${reasonOf(failure)}`,
    advice:
      'Start the collector, or correct the OTEL_EXPORTER_OTLP_ variables; until then they are lost, and calls go on.',
  };
}
