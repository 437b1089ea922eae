import { NotInstalled } from '../../domain/not-installed.ts';
import type { Tracing } from './open-telemetry.ts';

/**
 * Traces when there is a collector for them. Only then is OpenTelemetry loaded: without it no call pays for traces.
 *
 * @throws NotInstalled when the packages were left out (`npm ci --omit=optional`)
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
