import type { TelemetrySettings } from '../../config/telemetry/telemetry-settings.ts';
import { NotInstalled } from '../../domain/not-installed.ts';
import type { ExportParts } from './otlp-exporter.ts';
import type { ProcessIdentity, Telemetry } from './start-telemetry.ts';

/**
 * Starts what sends traces and metrics. OpenTelemetry is loaded only then, so that otherwise no call bears its cost.
 *
 * @param settings null for nothing to send
 * @throws NotInstalled when OpenTelemetry is not installed (`npm ci --omit=optional`)
 */
export async function openTelemetry(
  settings: TelemetrySettings | null,
  identity: ProcessIdentity,
  parts: ExportParts,
): Promise<Telemetry | undefined> {
  if (settings === null) return undefined;
  const { startTelemetry } = await import('./start-telemetry.ts').catch((cause: unknown) => {
    throw new NotInstalled(
      'OTEL_EXPORTER_OTLP_ENDPOINT or another variable asks for traces or metrics, but OpenTelemetry cannot be loaded',
      'Install with optional dependencies (npm ci), or set OTEL_SDK_DISABLED=true.',
      { cause },
    );
  });
  return startTelemetry(settings, identity, parts);
}
