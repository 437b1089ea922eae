import { NotInstalled } from '../../domain/not-installed.ts';
import type { Tracing } from './open-telemetry.ts';

/**
 * Starts tracing when a collector is configured. OpenTelemetry is loaded only then, so that otherwise no call bears its
 * cost.
 *
 * @param endpoint of the collector, null for no tracing
 * @throws NotInstalled when OpenTelemetry is not installed (`npm ci --omit=optional`)
 */
export async function openTracing(
  endpoint: string | null,
  serviceName: string,
): Promise<Tracing | undefined> {
  if (endpoint === null) return undefined;
  const { startTracing } = await import('./open-telemetry.ts').catch((cause: unknown) => {
    throw new NotInstalled(
      'OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry cannot be loaded',
      'Install with optional dependencies (npm ci), or remove OTEL_EXPORTER_OTLP_ENDPOINT.',
      { cause },
    );
  });
  return startTracing(endpoint, serviceName);
}
