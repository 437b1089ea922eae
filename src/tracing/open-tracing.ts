import type { Tracing } from './open-telemetry.ts';

/**
 * Traces when there is a collector for them. Only then is OpenTelemetry loaded: without it no call pays for traces.
 *
 * @throws Error when the packages were left out of the installation (`npm ci --omit=optional`)
 */
export async function openTracing(
  endpoint: string | null,
  serviceName: string,
): Promise<Tracing | undefined> {
  if (endpoint === null) return undefined;
  try {
    const { startTracing } = await import('./open-telemetry.ts');
    return startTracing(endpoint, serviceName);
  } catch (cause) {
    throw new Error(
      'traces were asked for (OTEL_EXPORTER_OTLP_ENDPOINT), and OpenTelemetry cannot be loaded: install the optional packages',
      { cause },
    );
  }
}
