import { certificateFaults } from '../../net/tls/certificate-files.ts';
import type { Environment } from '../setting-values.ts';

/** The paths of one signal. */
interface Paths {
  readonly certificate: string | null;
  readonly clientCertificate: string | null;
  readonly clientKey: string | null;
}
type Signal = 'traces' | 'metrics';

/**
 * Why the TLS files for the collector cannot be used; they have been read before. OpenSSL would ignore a CA file without a
 * certificate, and every export would fail.
 */
export function telemetryFileFaults(
  paths: Readonly<Record<Signal, Paths | null>>,
  variables: Environment,
  readFile: (path: string) => string,
): string[] {
  const faults = (['traces', 'metrics'] as const).flatMap((signal) => {
    if (paths[signal] === null) return [];
    const textOf = (path: string | null) => (path === null ? null : readFile(path));
    const { certificate, clientCertificate, clientKey } = paths[signal];
    return certificateFaults(
      { cert: textOf(clientCertificate), key: textOf(clientKey), ca: textOf(certificate) },
      {
        cert: nameAsSet('CLIENT_CERTIFICATE', signal, variables),
        key: nameAsSet('CLIENT_KEY', signal, variables),
        ca: nameAsSet('CERTIFICATE', signal, variables),
      },
    );
  });
  return [...new Set(faults)];
}

function nameAsSet(suffix: string, signal: Signal, variables: Environment): string {
  const name = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_${suffix}`;
  return (variables[name] ?? '') === '' ? `OTEL_EXPORTER_OTLP_${suffix}` : name;
}
